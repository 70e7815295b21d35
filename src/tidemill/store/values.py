"""What runs measured and were told: params (written once), tags (written again), metrics (appended)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tidemill.core.errors import ConflictError
from tidemill.core.records import Metric
from tidemill.store.database import Row, Transaction
from tidemill.store.rows import clean
from tidemill.store.statement import Statement, insert_into

_METRIC = "run_id, name, value, step, time, context, execution_id"
_PUT_PARAM = insert_into("params", "run_id, name, value", "ON CONFLICT (run_id, name) DO NOTHING")
_PARAMS = Statement("SELECT name, value FROM params WHERE run_id = :run_id ORDER BY name")
_PUT_TAG = insert_into("tags", "run_id, name, value", "ON CONFLICT (run_id, name) DO UPDATE SET value = excluded.value")
_DELETE_TAG = Statement("DELETE FROM tags WHERE run_id = :run_id AND name = :name")
_TAGS = Statement("SELECT name, value FROM tags WHERE run_id = :run_id ORDER BY name")
_PUT_METRIC = insert_into("metrics", _METRIC)
_PUT_LAST = insert_into(
    "last_metrics",
    _METRIC,
    """ON CONFLICT (run_id, name, context) DO UPDATE
        SET value = excluded.value, step = excluded.step, time = excluded.time, execution_id = excluded.execution_id
        WHERE (excluded.step, excluded.time) >= (last_metrics.step, last_metrics.time)""",
)
_METRICS = Statement(f"""
    SELECT {_METRIC} FROM metrics WHERE run_id = :run_id ORDER BY name, context, step, time, seq
""")
_METRICS_BY_NAME = Statement(f"""
    SELECT {_METRIC} FROM metrics WHERE run_id = :run_id AND name = :name ORDER BY context, step, time, seq
""")
_LAST = Statement(f"SELECT {_METRIC} FROM last_metrics WHERE run_id = :run_id ORDER BY name, context")


def put_params(tx: Transaction, run_id: str, batch: Mapping[str, str]) -> None:
    """Store parameters of a run. Each is written once; writing the same value again is harmless.

    Raises
    ------
    ConflictError
        If one of them has another value already; it names the parameter and both values.
    NotFoundError
        If the run is not in the store.
    """
    rows = [{"run_id": run_id, "name": name, "value": clean(value)} for name, value in sorted(batch.items())]
    if not rows:
        return
    tx.many(_PUT_PARAM, rows)
    stored = params(tx, run_id)
    for row in rows:
        if stored[row["name"]] != row["value"]:
            raise ConflictError(
                f"parameter {row['name']!r} of run {run_id} is {stored[row['name']]!r} and cannot become another",
                value=row["value"],
                hint="Parameters are written once: use another name, a tag, or a new run.",
            )


def put_tags(tx: Transaction, run_id: str, batch: Mapping[str, str]) -> None:
    """Store tags of a run; the last value of a tag counts."""
    rows = [{"run_id": run_id, "name": name, "value": clean(value)} for name, value in sorted(batch.items())]
    if rows:
        tx.many(_PUT_TAG, rows)


def delete_tag(tx: Transaction, run_id: str, name: str) -> bool:
    """Remove a tag of a run, and say whether it was there."""
    return tx.run(_DELETE_TAG, run_id=run_id, name=name) > 0


def put_metrics(tx: Transaction, batch: Iterable[Metric]) -> None:
    """Append measurements, of one run or of several; every one is kept.

    Raises
    ------
    NotFoundError
        If a run is not in the store.
    """
    rows = [_row(metric) for metric in batch]
    if not rows:
        return
    tx.many(_PUT_METRIC, rows)
    newest: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        place = (row["run_id"], row["name"], row["context"])
        if place not in newest or (row["step"], row["time"]) >= (newest[place]["step"], newest[place]["time"]):
            newest[place] = row
    tx.many(_PUT_LAST, [newest[place] for place in sorted(newest)])


def params(tx: Transaction, run_id: str) -> dict[str, str]:
    """The parameters of a run, by name."""
    return dict(tx.all(_PARAMS, run_id=run_id))


def tags(tx: Transaction, run_id: str) -> dict[str, str]:
    """The tags of a run, by name."""
    return dict(tx.all(_TAGS, run_id=run_id))


def metrics(tx: Transaction, run_id: str, name: str | None = None) -> list[Metric]:
    """Every measurement of a run, or those of one name: by name, context, step and time."""
    if name is None:
        return [_metric(row) for row in tx.all(_METRICS, run_id=run_id)]
    return [_metric(row) for row in tx.all(_METRICS_BY_NAME, run_id=run_id, name=name)]


def last_metrics(tx: Transaction, run_id: str) -> list[Metric]:
    """The measurement with the highest step, then time, for each name and context of a run."""
    return [_metric(row) for row in tx.all(_LAST, run_id=run_id)]


def _row(metric: Metric) -> dict[str, Any]:
    return {
        "run_id": metric.run_id,
        "name": metric.name,
        "value": None if math.isnan(metric.value) else metric.value + 0.0,  # SQLite keeps neither NaN nor -0.0
        "step": metric.step,
        "time": metric.time,
        "context": metric.context,
        "execution_id": metric.execution_id,
    }


def _metric(row: Row) -> Metric:
    run_id, name, value, *rest = row
    return Metric(run_id, name, math.nan if value is None else value, *rest)
