"""Join labels to the predictions that they are the truth of, and say how many have one and how late it came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.serving.log.reading import scan_labels, scan_log
from tidemill.serving.log.shapes import parts_of

_ROW = ["request_id", "row"]
_HISTORY = ["model", *_ROW, "entity", "label", "at", "arrived", "holds"]
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True, slots=True)
class LabelCoverage:
    """How much of what was answered has its truth by now.

    Parameters
    ----------
    version, variant
        Who answered; None and empty for all together.
    rows, labelled
        Answered rows, and those of them that have a label.
    delay_s
        Seconds from an answer to its truth: ``p50``, ``p90``, ``p99``, ``max``; empty without labels.
    told
        Labels that arrived, each as often as it did; of all together only, as is the next.
    unmatched
        Those of them that belong to no prediction in this log: it may be in another, not in the sample, erased, or one
        of several rows of a request that the label does not tell apart.
    by
        The same for each version and variant.
    """

    version: int | None
    variant: str
    rows: int
    labelled: int
    delay_s: Mapping[str, float]
    told: int = 0
    unmatched: int = 0
    by: tuple[LabelCoverage, ...] = ()

    @property
    def share(self) -> float:
        """Of the answered rows, the part that has a label."""
        return self.labelled / self.rows if self.rows else 0.0


def label_coverage(
    root: str | Path,
    model: str,
    *,
    since: datetime | date | str | None = None,
    until: datetime | date | str | None = None,
    window: timedelta | None = None,
    local: bool = False,
) -> LabelCoverage:
    """How many of a model's predictions have their labels, and how long those took.

    Parameters
    ----------
    root
        The log's folder.
    model
        Whose predictions.
    since, until
        Predictions from this moment on, and before that one.
    window, local
        As for `predictions`.

    Returns
    -------
    LabelCoverage
        For all together; ``by`` has each version and variant.
    """
    scan = scan_log(root, model, since=since, until=until, local=local)
    frame = scan.frame.filter(pl.col("status") == "answered")
    labels = scan_labels(root, model, local=local).frame.collect()
    matched = _matched(_keys(root, model, None, local=local), labels, window)
    joined = _join(frame.select(*_ROW, "ts", "version", "variant", "prediction"), _winners(matched)).collect()
    # A label without a model may be another model's: only a match makes it this one's.
    own = labels.with_row_index("place").filter(pl.col("model").is_not_null())["place"]
    unmatched = len(set(own) - set(matched["place"]))
    groups = joined.sort("version", "variant").group_by("version", "variant", maintain_order=True)
    by = tuple(_coverage(rows, version, variant or "") for (version, variant), rows in groups)
    told = matched["place"].n_unique() + unmatched
    return _coverage(joined, None, "", told=told, unmatched=unmatched, by=by)


def with_labels(
    frame: pl.LazyFrame,
    root: str | Path,
    model: str | None,
    since: datetime | date | str | None,
    window: timedelta | None,
    *,
    local: bool = False,
) -> pl.LazyFrame:
    """Predictions with ``label``, ``label_at`` and ``label_delay_s``, missing where there is no label.

    Parameters
    ----------
    frame
        Of `scan_log`.
    root, model, since, local
        What it was scanned from.
    window
        How long before a label's time the prediction about an entity may have been made.
    """
    keys = _keys(root, model, since, local=local)
    labels = scan_labels(root, model, local=local).frame.collect()
    return _join(frame, _with_parts(_winners(_matched(keys, labels, window)), keys))


def label_history(root: str | Path, model: str | None = None, *, local: bool = False) -> pl.DataFrame:
    """Every label that was told, as `tidemill.label_history` gives it."""
    labels = scan_labels(root, model, local=local).frame.collect()
    matched = _matched(_keys(root, model, None, local=local), labels, None)
    told = labels.with_row_index("place").select("place", "model", "entity")
    rows = told.join(_ordered(matched), on="place").select(_HISTORY)
    lost = labels.with_row_index("place").join(matched.select("place"), on="place", how="anti")
    unmatched = lost.with_columns(pl.lit(None, pl.Boolean).alias("holds")).select(_HISTORY)
    found = pl.concat([rows, unmatched])
    return found.sort("request_id", "row", "at", "arrived", "entity", nulls_last=True)


def _keys(root: str | Path, model: str | None, since: datetime | date | str | None, *, local: bool) -> pl.DataFrame:
    """The rows that labels can belong to, shadows' answers to the same row not told apart.

    Not only until some moment: a label may be about a later prediction of its entity.
    """
    frame = scan_log(root, model, since=since, local=local).frame
    return (
        frame.group_by("model", *_ROW)
        .agg(pl.col("ts").min(), pl.col("entity").first(), (pl.col("status") == "answered").any().alias("answered"))
        .collect()
    )


def _matched(keys: pl.DataFrame, labels: pl.DataFrame, window: timedelta | None) -> pl.DataFrame:
    """Labels with the row that each is the truth of; ``place`` is the label's."""
    told = labels.with_row_index("place")
    columns = ["place", "request_id", "row", "label", "at", "arrived"]
    rows = keys.select(*_ROW).unique()
    exact = told.join(rows, on=_ROW, how="semi").select(columns)
    alone = rows.filter(pl.len().over("request_id") == 1)
    only = told.filter(pl.col("row").is_null()).drop("row").join(alone, on="request_id").select(columns)
    about = told.filter(pl.col("entity").is_not_null()).drop(_ROW).sort("as_of")
    latest = keys.filter(pl.col("entity").is_not_null() & pl.col("answered")).sort("ts")
    found = about.join_asof(
        latest, left_on="as_of", right_on="ts", by=["model", "entity"], tolerance=window, check_sortedness=False
    )
    return pl.concat([exact, only, found.filter(pl.col("request_id").is_not_null()).select(columns)])


def _winners(matched: pl.DataFrame) -> pl.DataFrame:
    """For each row the label that holds: the newest `at`, of those the newest arrival.

    One that was told again without a change is as old as it was when it was told first.
    """
    return _ordered(matched).filter("holds").select(*_ROW, "label", pl.col("at").alias("label_at"))


def _ordered(matched: pl.DataFrame) -> pl.DataFrame:
    """Labels of each row, the newest last, with which one `holds`."""
    ordered = matched.sort(*_ROW, "at", "arrived", "place")
    runs = ordered.with_columns(pl.col("label").rle_id().over(_ROW).alias("run"))
    last = pl.col("run") == pl.col("run").max().over(_ROW)
    return runs.with_columns((last & (pl.int_range(pl.len()).over(*_ROW, "run") == 0)).alias("holds"))


def _with_parts(winners: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
    """Labels of models with several, each in a column of its own; a list says no of those that it does not name."""
    parts = [parts_of(label) for label in winners["label"]]
    if not any(parts):
        return winners
    models = keys.select(*_ROW, "model").unique(subset=_ROW)
    of = winners.select(_ROW).join(models, on=_ROW, how="left", maintain_order="left")["model"].to_list()
    names: dict[str, dict[str, None]] = defaultdict(dict)
    for model, part in zip(of, parts, strict=True):
        names[model] |= dict.fromkeys(part or ())
    columns: dict[str, list[bool | None]] = {name: [] for told in names.values() for name in sorted(told)}
    for model, part in zip(of, parts, strict=True):
        for name, cells in columns.items():
            if isinstance(part, list):
                cells.append(name in part if name in names[model] else None)
            else:
                cells.append(None if part is None else part.get(name))
    return winners.with_columns(pl.Series(f"label.{name}", cells, pl.Boolean) for name, cells in columns.items())


def _join(frame: pl.LazyFrame, winners: pl.DataFrame) -> pl.LazyFrame:
    # Whoever keeps 0 and 1 where the model says false and true means the same.
    flag = pl.col("label").str.to_lowercase().replace({"1": "true", "0": "false", "1.0": "true", "0.0": "false"})
    is_flag = pl.col("prediction").is_in(["true", "false"]) & flag.is_in(["true", "false"])
    return frame.join(winners.lazy(), on=_ROW, how="left", maintain_order="left").with_columns(
        pl.when(is_flag).then(flag).otherwise("label").alias("label"),
        ((pl.col("label_at") - pl.col("ts")).dt.total_microseconds() / 1e6).alias("label_delay_s"),
    )


def _coverage(rows: pl.DataFrame, version: Any, variant: Any, **more: Any) -> LabelCoverage:
    delays = rows["label_delay_s"].drop_nulls()
    quantiles = {name: float(delays.quantile(q, "linear") or 0.0) for name, q in _QUANTILES.items()}
    return LabelCoverage(version, variant, rows.height, delays.len(), quantiles if delays.len() else {}, **more)
