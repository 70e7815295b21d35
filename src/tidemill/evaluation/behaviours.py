"""What any model should do, whatever it predicts: each check asks the model and says what it saw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from tidemill.core.errors import TidemillError
from tidemill.core.model import Model
from tidemill.evaluation.records import Comparison, Evaluation, Slice
from tidemill.evaluation.scoring import Scored, leading_metrics
from tidemill.measures.inputs import Floats
from tidemill.measures.registry import metric
from tidemill.training.prediction import predict
from tidemill.training.rows_read import rows_known

#: Checks ask about at most this many rows.
MAX_ROWS = 2000
#: Answers may differ by this much where they should be equal: libraries add float32 numbers in other orders.
TOLERANCE = 1e-6
#: A hundredth of a column's spread as noise may move answers by this much on average (probabilities).
NOISE_BOUND = 0.05
#: So large a share of rows may equal one that the training read before they are called touched.
ALIKE = 0.01
_ONE_BY_ONE = 50

Kind = Literal["invariance", "robustness", "functionality", "direction", "example", "stability", "independence", "user"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One check: what was expected, what was measured, and the bound that it was held against.

    `failed` of `rows` rows were not as expected, a few of which are `examples`, each a row as text by column. A failed
    check of severity ``"warning"`` is told, and does not fail the examination.
    """

    name: str
    kind: Kind
    passed: bool
    expected: str
    measured: float | None = None
    bound: float | None = None
    detail: str = ""
    severity: Literal["error", "warning"] = "error"
    rows: int = 0
    failed: int = 0
    examples: tuple[Mapping[str, str], ...] = ()


def invariances(scored: Scored, seed: int) -> tuple[Behaviour, ...]:
    """The answer about a row depends on that row only: not on its neighbours, its place, or the order of columns."""
    model, frame, scores = scored.model, scored.frame.head(MAX_ROWS), scored.scores[:MAX_ROWS]
    order = np.random.default_rng(seed).permutation(frame.height)
    one_by_one = pl.DataFrame(frame.head(_ONE_BY_ONE))
    singles = np.concatenate([predict(model, one_by_one[place : place + 1]) for place in range(one_by_one.height)])
    mirrored = frame.select([*reversed(frame.columns)]).with_columns(a_column_it_never_saw=pl.lit(1))
    return (
        _same("same answer when asked again", "row_repeat", predict(model, frame), scores),
        _same("shuffling rows shuffles answers", "row_order", predict(model, frame[order]), scores[order]),
        _same("one row alone is answered as among others", "row_alone", singles, scores[:_ONE_BY_ONE]),
        _same("order of columns and unknown columns do not matter", "column_order", predict(model, mirrored), scores),
    )


def robustness(scored: Scored, seed: int) -> tuple[Behaviour, ...]:
    """It still answers when values are missing, categories are new, and numbers are a little off."""
    frame, names = scored.frame.head(MAX_ROWS), scored.model.signature.inputs.names
    return (
        _missing_values(scored, frame, names),
        _answers(
            scored,
            frame.with_columns(pl.lit(None, dtype=frame.schema[name]).alias(name) for name in names),
            "all_missing",
            "answers when every input is missing",
        ),
        _answers(
            scored,
            frame.with_columns(
                pl.lit("never seen before").alias(name) for name in names if frame.schema[name] == pl.String
            ),
            "unseen_categories",
            "answers about categories that were not in training",
        ),
        _noise(scored, frame, names, seed),
    )


def functionality(
    scored: Scored, comparisons: tuple[Comparison, ...], slices: tuple[Slice, ...]
) -> tuple[Behaviour, ...]:
    """It says different things about different rows, and knows more than its baselines."""
    scores = scored.scores
    spread = float(scores.std(axis=0).max())
    found = [
        Behaviour("varies", "functionality", spread > 0, "different rows get different answers", spread, 0.0),
    ]
    baselines = [entry for entry in comparisons if entry.kind == "baseline" and not entry.by]
    for entry in baselines:
        difference = entry.difference.value
        sentence = f"beats the {entry.other} baseline in {entry.metric}"
        passed = entry.better is True
        detail = (
            "" if passed else "the interval of the difference holds zero" if entry.better is None else "it is worse"
        )
        if difference is None:
            detail = f"not measured: {entry.difference.reason}"
        found.append(Behaviour(f"beats_{entry.other}", "functionality", passed, sentence, difference, 0.0, detail))
    if scored.model.signature.task == "binary" and slices:
        bad = [
            f"{entry.by} {entry.value}"
            for entry in slices
            if (high := entry.metrics["roc_auc"].high) is not None and high < 0.5
        ]
        sentence = "ranks no slice worse than guessing"
        found.append(Behaviour("slices", "functionality", not bad, sentence, float(len(bad)), 0.0, ", ".join(bad[:5])))
    return tuple(found)


def independence(scored: Scored, earlier: Sequence[Evaluation] = ()) -> Behaviour:
    """No row that is examined was read by the training: not fitted on, nor used to stop it or to choose a threshold.

    Nor by an evaluation of the same model that was made `earlier`.
    """
    read = scored.model.metadata.get("read")
    if not read:
        return _untouched(0, 0, 0.0, "the model has no record of the rows that its training read", cannot_tell=True)
    readers = [("the training", read), *(("an evaluation", entry.read) for entry in earlier if entry.read)]
    first: tuple[int, int, float] | None = None
    for reader, rows in readers:
        known, sampled = rows_known(rows, scored.matrix, scored.truth)
        # Where inputs have few values, rows are alike by chance, as validation rows are like training rows; here they
        # are compared with both parts.
        alike = 2 * read["alike"] / read["compared"] if read["compared"] else 0.0
        bound = (alike + ALIKE) * sampled + 3 * math.sqrt(min(alike, 1.0) * sampled)
        if reader == "the training" and not sampled:
            return _untouched(0, 0, 0.0, "no row can be told apart from others", cannot_tell=True)
        first = first or (known, sampled, bound)
        if known > bound:
            return _untouched(
                known, sampled, bound, f"not untouched: {reader} has read {known} of {sampled} rows that were looked up"
            )
    return _untouched(*(first or (0, 0, 0.0)), "")


def _untouched(known: int, sampled: int, bound: float, detail: str, *, cannot_tell: bool = False) -> Behaviour:
    return Behaviour(
        "untouched",
        "independence",
        passed=not detail,
        expected="the training has not read these rows",
        measured=known / sampled if sampled else None,
        bound=bound / sampled if sampled else None,
        detail=detail,
        severity="warning" if cannot_tell else "error",
        rows=sampled,
        failed=known if detail else 0,
    )


def shown(frame: pl.DataFrame, names: Sequence[str], most: int = 5) -> tuple[dict[str, str], ...]:
    """The first rows as text, for examples."""
    return tuple({name: str(row[name]) for name in names} for row in frame.head(most).iter_rows(named=True))


def _same(expected: str, name: str, left: Floats, right: Floats) -> Behaviour:
    gaps = np.abs(left - right).reshape(len(left), -1).max(axis=1) if len(left) else np.zeros(0)
    gap = float(gaps.max(initial=0.0))
    scale = max(1.0, float(np.abs(right).max())) if len(right) else 1.0
    bound = TOLERANCE * scale
    failed = int((gaps > bound).sum())
    return Behaviour(name, "invariance", gap <= bound, expected, gap, bound, rows=len(gaps), failed=failed)


def _answers(scored: Scored, frame: pl.DataFrame, name: str, expected: str) -> Behaviour:
    problem = _problem(scored.model, frame)
    return Behaviour(name, "robustness", not problem, expected, detail=problem)


def _problem(model: Model, frame: pl.DataFrame) -> str:
    """Why the model does not answer, or nothing."""
    try:
        return "" if np.isfinite(predict(model, frame)).all() else "an answer is not finite"
    except (TidemillError, ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


def _missing_values(scored: Scored, frame: pl.DataFrame, names: tuple[str, ...]) -> Behaviour:
    task, threshold = scored.model.signature.task, scored.model.signature.threshold
    leading = metric(leading_metrics(scored)[0], task, scored.model.signature.levels)
    truth = scored.truth[:MAX_ROWS]
    whole = leading.prepare(truth, scored.scores[:MAX_ROWS], threshold)(None)
    drops: dict[str, float] = {}
    problem = ""
    for name in names:
        without = frame.with_columns(pl.lit(None, dtype=frame.schema[name]).alias(name))
        said = _problem(scored.model, without)
        if said:
            problem = problem or f"{name}: {said}"
            continue
        value = leading.prepare(truth, predict(scored.model, without), threshold)(None)
        drops[name] = whole - value if leading.greater_is_better else value - whole
    known = {name: drop for name, drop in drops.items() if not np.isnan(drop)}
    worst = max(known, key=lambda name: known[name]) if known else None
    seen = f"without {worst}, {leading.name} is worse by {known[worst]:.4g}" if worst else ""
    return Behaviour(
        name="missing_values",
        kind="robustness",
        passed=not problem,
        expected="answers when any one input is missing",
        measured=known[worst] if worst else None,
        detail=problem or seen,
    )


def _noise(scored: Scored, frame: pl.DataFrame, names: tuple[str, ...], seed: int) -> Behaviour:
    generator = np.random.default_rng(seed)
    noisy = []
    for name in names:
        if frame.schema[name].is_float() and (spread := frame[name].fill_nan(None).std()):
            shift = pl.Series(generator.normal(0.0, 0.01 * float(spread), frame.height))  # type: ignore[arg-type]
            noisy.append((frame[name] + shift).cast(frame.schema[name]).alias(name))
    before, after = scored.scores[: frame.height], predict(scored.model, frame.with_columns(noisy))
    scale = 1.0 if scored.are_probabilities else max(float(before.std()), 1e-12)
    moved = float(np.abs(after - before).mean()) / scale
    expected = "noise of 1 % of each measured column's spread hardly moves answers"
    return Behaviour("noise", "robustness", moved <= NOISE_BOUND, expected, moved, NOISE_BOUND)
