"""The verb `drift`: a window counted in the bins of a reference profile, and tested column by column.

The bins are fixed by the reference, so that the figures of different windows compare and one outlier flattens nothing.
Both sides are samples, so the test is the two-sample one; with many columns some differ by chance, so the p-values are
adjusted; and with many rows everything differs, so a difference must also be large to be called drift.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from tidemill.core.errors import DataError, UsageError
from tidemill.core.model import Model
from tidemill.data.types import Tabular, collected
from tidemill.engine.step import step
from tidemill.measures.distances import chi2_two_sample, jensen_shannon, psi
from tidemill.measures.multiplicity import benjamini_hochberg
from tidemill.measures.population import count_like, profile_categories, profile_numbers
from tidemill.monitoring.records import ColumnDrift, DriftReport, DriftRule
from tidemill.training.prediction import predict
from tidemill.training.profile import answers_of

#: How columns of the prediction log are named, and the column that holds the model's answer there.
_LOGGED, _SCORE = "features.", "probability"
#: Bins with fewer rows on both sides together are tested as one: the test's distribution needs some rows in each.
_POOLED = 10
_SHOWN_CATEGORIES = 20


@dataclass(frozen=True, slots=True)
class _Found:
    """A column before the verdict: what was measured, and the p-values to adjust."""

    drift: ColumnDrift
    missing_p: float | None
    strange_p: float | None


@step(stage="drift")
def drift(
    reference: Any,
    current: Tabular,
    *,
    columns: Sequence[str] | None = None,
    scores: Any = None,
    rule: DriftRule | None = None,
) -> DriftReport:
    """Compare a window of rows with the rows that a model learned from.

    Parameters
    ----------
    reference
        A reference profile (``Model.profile``), or a model or package that carries one.
    current
        The window: rows with the model's inputs, or predictions from the log (``features.<column>``).
    columns
        Only these; by default every column of the profile.
    scores
        The model's answers for the window, shape (rows,), of several labels (rows, labels); by default those in a
        logged window, or those that `reference` gives now if it is a model.
    rule
        When a difference is called drift.

    Returns
    -------
    DriftReport

    Raises
    ------
    DataError
        When the window has no rows.
    UsageError
        When the reference carries no profile, or a column is not in it.

    Examples
    --------
    >>> profile = {"rows": 400, "columns": {"x": profile_numbers(range(400), bins=4)}}
    >>> report = drift(profile, pl.DataFrame({"x": list(range(200, 400)) * 2}))
    >>> report.drifted, round(report.column("x").psi, 1)
    (('x',), 3.0)
    """
    profile = _profile_of(reference)
    frame = _answered(collected(current))
    if frame.is_empty():
        raise DataError("the window has no rows", hint="Take a longer one.")
    wanted = tuple(profile["columns"]) if columns is None else tuple(columns)
    if unknown := [name for name in wanted if name not in profile["columns"]]:
        raise UsageError(
            "the reference has no profile of these columns",
            value=unknown,
            hint=f"It has {', '.join(profile['columns'])}.",
        )
    rule = rule or DriftRule()
    present = {name: series for name in wanted if (series := _series(frame, name)) is not None}
    found = [_measure(name, profile["columns"][name], series, rule) for name, series in present.items()]
    if scores is None and isinstance(reference, Model) and "request_id" not in frame.columns:
        scores = _scores(reference, frame)
    answers, labels = _answers(profile, frame, scores, rule), _labels(profile, frame, scores, rule)
    judged = _judge([*found, *answers, *labels], rule)
    told, judged = judged[len(found) :], judged[: len(found)]
    return DriftReport(
        rows_reference=int(profile["rows"]),
        rows_current=frame.height,
        columns=tuple(sorted(judged, key=lambda entry: (not entry.drifted, -(entry.psi or 0.0), entry.column))),
        prediction=told[0] if answers else None,
        absent=tuple(name for name in wanted if name not in present),
        rule=rule,
        labels=tuple(told[len(answers) :]),
    )


@step(stage="drift")
def drift_between(
    reference: Tabular, current: Tabular, *, columns: Sequence[str] | None = None, rule: DriftRule | None = None
) -> DriftReport:
    """Compare two tables, such as August and December; the bins are those of the first.

    Parameters
    ----------
    reference, current
        Tables with the same columns.
    columns
        Only these; by default every number, flag and text of the first table.
    rule
        When a difference is called drift.

    Examples
    --------
    >>> august = pl.DataFrame({"late": [True] * 30 + [False] * 70})
    >>> december = pl.DataFrame({"late": [True] * 60 + [False] * 40})
    >>> drift_between(august, december).drifted
    ('late',)
    """
    frame = collected(reference)
    if frame.is_empty():
        raise DataError("the reference has no rows", hint="Take a longer window.")
    names = [name for name in frame.columns if _is_profiled(frame[name])] if columns is None else list(columns)
    profile = {"rows": frame.height, "columns": {name: profile_series(frame[name]) for name in names}}
    return drift(profile, current, rule=rule)


def profile_series(series: pl.Series) -> dict[str, Any]:
    """The profile of a column: numbers in bins of about equally many rows, flags as 0 and 1, the rest as categories."""
    if series.dtype == pl.Boolean:
        return profile_numbers(series.cast(pl.Float64).to_numpy(), edges=[0.5])
    if series.dtype.is_numeric():
        return profile_numbers(series.cast(pl.Float64).to_numpy())
    return profile_categories(series.cast(pl.String).to_list())


def _is_profiled(series: pl.Series) -> bool:
    return series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.String, pl.Categorical, pl.Enum)


def _profile_of(reference: Any) -> Mapping[str, Any]:
    profile = reference
    if not isinstance(reference, Mapping):
        profile = getattr(reference, "profile", None) or getattr(reference, "manifest", {}).get("profile")
    if not isinstance(profile, Mapping) or "columns" not in profile:
        raise UsageError(
            "there is no reference profile in this",
            value=type(reference).__name__,
            hint="Give Model.profile or a model.",
        )
    return profile


def _answered(frame: pl.DataFrame) -> pl.DataFrame:
    """A logged window without the rows that were refused: they have no features."""
    is_logged = "request_id" in frame.columns and "status" in frame.columns
    return frame.filter(pl.col("status") == "answered") if is_logged else frame


def _series(frame: pl.DataFrame, name: str) -> pl.Series | None:
    for candidate in (_LOGGED + name, name):
        if candidate in frame.columns:
            return frame[candidate]
    return None


def _answers(profile: Mapping[str, Any], frame: pl.DataFrame, scores: Any, rule: DriftRule) -> list[_Found]:
    """The model's answers against those on validation rows, when both are known."""
    reference = profile.get("prediction")
    if reference is None:
        return []
    if scores is not None:
        return [_measure("prediction", reference, pl.Series("prediction", scores), rule)]
    logged = "prediction" if reference["kind"] == "category" else _SCORE
    if logged not in frame.columns or "request_id" not in frame.columns:
        return []
    if logged == _SCORE and frame[_SCORE].null_count() == frame.height:  # anomalies log a score, a regression its value
        logged = "score" if "score" in frame.columns and frame["score"].null_count() < frame.height else "prediction"
    return [_measure("prediction", reference, frame[logged], rule)]


def _labels(profile: Mapping[str, Any], frame: pl.DataFrame, scores: Any, rule: DriftRule) -> list[_Found]:
    """The probability of each label against those on validation rows, when both are known."""
    reference = profile.get("labels", {})
    if scores is None and "probabilities" in frame.columns and "request_id" in frame.columns:
        scores = np.asarray(frame["probabilities"].drop_nulls().to_list(), dtype=np.float64)
    if not reference or scores is None or not len(scores):
        return []
    columns = np.asarray(scores, dtype=np.float64)
    if columns.ndim != 2 or columns.shape[1] != len(reference):
        raise UsageError(
            f"the answers are not of {len(reference)} labels",
            value=columns.shape,
            hint=f"Give an array of shape (rows, {len(reference)}): {', '.join(reference)}.",
        )
    return [
        _measure(name, kept, pl.Series(name, columns[:, place]), rule)
        for place, (name, kept) in enumerate(reference.items())
    ]


def _scores(model: Model, frame: pl.DataFrame) -> Any:
    """What the model says about the window, in the form of its profile; nothing when the window lacks an input."""
    if any(column.name not in frame.columns for column in model.signature.inputs):
        return None
    return answers_of(predict(model, frame), model.signature.task, model.signature.classes)


def _measure(name: str, reference: Mapping[str, Any], series: pl.Series, rule: DriftRule) -> _Found:
    kind = reference["kind"]
    if kind == "number":
        values: Any = series.cast(pl.Float64, strict=False).to_numpy()
        if series.dtype == pl.String and np.isnan(values).sum() > series.null_count():
            raise DataError(f"column {name!r} was a number in the reference and is text now", value=series[0])
    else:
        values = series.cast(pl.String).to_list()
    now = count_like(reference, values)
    before_counts = [*reference["counts"], *([reference["other"]] if kind == "category" else [])]
    now_counts = [*now["counts"], *([now["other"]] if kind == "category" else [])]
    known = (sum(before_counts), sum(now_counts))
    p_value = chi2_two_sample(*_pooled(before_counts, now_counts)).p_value if min(known) >= rule.rows else None
    missing = [[side["rows"] - side["missing"], side["missing"]] for side in (reference, now)]
    missing_p = chi2_two_sample(*missing).p_value if min(reference["rows"], now["rows"]) >= rule.rows else None
    entry = ColumnDrift(
        column=name,
        kind=kind,
        drifted=False,
        reasons=(),
        psi=psi(before_counts, now_counts) if min(known) else None,
        jensen_shannon=jensen_shannon(before_counts, now_counts) if min(known) else None,
        p_value=p_value,
        missing_reference=reference["missing"] / max(reference["rows"], 1),
        missing_current=now["missing"] / max(now["rows"], 1),
        reference_counts=tuple(before_counts),
        current_counts=tuple(now_counts),
    )
    entry = (_with_numbers if kind == "number" else _with_categories)(entry, reference, values)
    return _Found(entry, missing_p, _strangeness(entry, known[0]) if min(known) else None)


def _strangeness(entry: ColumnDrift, rows: int) -> float:
    """The chance that so large a share of the same population was not among the reference's `rows` known values.

    The share of a population beyond the smallest and the largest of n values is Beta distributed (2, n - 1); a share s
    of it is in none of n rows with the chance (1 - s)^n.
    """
    if entry.kind == "category":
        return float((1.0 - entry.new_share) ** rows)
    share = entry.out_of_range
    return float((1.0 - share) ** rows + rows * share * (1.0 - share) ** max(rows - 1, 0))


def _with_numbers(entry: ColumnDrift, reference: Mapping[str, Any], values: Any) -> ColumnDrift:
    known = values[np.isfinite(values)]
    if not len(known) or "minimum" not in reference:
        return replace(entry, edges=tuple(reference["edges"]), mean_reference=reference.get("mean"))
    outside = (known < reference["minimum"]) | (known > reference["maximum"])
    return replace(
        entry,
        edges=tuple(reference["edges"]),
        out_of_range=float(outside.mean()),
        mean_reference=reference["mean"],
        mean_current=float(known.mean()),
    )


def _with_categories(entry: ColumnDrift, reference: Mapping[str, Any], values: Sequence[Any]) -> ColumnDrift:
    entry = replace(entry, categories=tuple(reference["categories"]))
    if reference["other"]:  # the reference kept only the most frequent ones: what is not among them need not be new
        return entry
    known = set(reference["categories"])
    strange = pl.Series([value for value in values if value is not None and value not in known], dtype=pl.String)
    if strange.is_empty():
        return entry
    counted = strange.value_counts(sort=True)
    share = len(strange) / sum(value is not None for value in values)
    return replace(entry, new_categories=tuple(counted.to_series(0).to_list()[:_SHOWN_CATEGORIES]), new_share=share)


def _pooled(before: Sequence[int], now: Sequence[int]) -> tuple[list[int], list[int]]:
    """The counts with sparse bins added up into one."""
    pairs = list(zip(before, now, strict=True))
    dense = [pair for pair in pairs if sum(pair) >= _POOLED]
    sparse = [pair for pair in pairs if sum(pair) < _POOLED]
    dense += [(sum(pair[0] for pair in sparse), sum(pair[1] for pair in sparse))] if sparse else []
    return [pair[0] for pair in dense], [pair[1] for pair in dense]


def _judge(found: Sequence[_Found], rule: DriftRule) -> list[ColumnDrift]:
    """Adjust all p-values together, and say of each column whether it drifted and why."""
    tests = [(entry.drift.p_value, entry.missing_p, entry.strange_p) for entry in found]
    given = [p for row in tests for p in row if p is not None]
    adjusted = iter(benjamini_hochberg(given).tolist()) if given else iter(())
    out: list[ColumnDrift] = []
    for entry, row in zip(found, tests, strict=True):
        shape, missing, strange = (None if p is None else float(next(adjusted)) for p in row)
        judged = replace(entry.drift, adjusted_p=shape, missing_adjusted_p=missing, strange_adjusted_p=strange)
        reasons = _reasons(judged, rule)
        out.append(replace(judged, drifted=bool(reasons), reasons=reasons))
    return out


def _reasons(entry: ColumnDrift, rule: DriftRule) -> tuple[str, ...]:
    reasons: list[str] = []
    if entry.adjusted_p is not None and entry.adjusted_p < rule.alpha and (entry.psi or 0.0) >= rule.psi:
        moved = ""
        if entry.mean_reference is not None and entry.mean_current is not None:
            moved = f": the mean went from {entry.mean_reference:.4g} to {entry.mean_current:.4g}"
        reasons.append(f"its distribution changed (PSI {entry.psi:.3g}, p {entry.adjusted_p:.2g}){moved}")
    change = entry.missing_current - entry.missing_reference
    if entry.missing_adjusted_p is not None and entry.missing_adjusted_p < rule.alpha and abs(change) >= rule.missing:
        reasons.append(f"missing values went from {entry.missing_reference:.1%} to {entry.missing_current:.1%}")
    is_strange = entry.strange_adjusted_p is not None and entry.strange_adjusted_p < rule.alpha
    if is_strange and entry.new_share >= rule.strange:
        shown = ", ".join(entry.new_categories[:3])
        reasons.append(f"{entry.new_share:.1%} have categories that the reference does not have: {shown}")
    if is_strange and entry.out_of_range >= rule.strange:
        reasons.append(f"{entry.out_of_range:.1%} are outside the reference's range")
    return tuple(reasons)
