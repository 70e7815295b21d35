"""What steps recorded about themselves: written with the end of their execution, and again when they are cached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.core.clock import now_us
from tidemill.core.errors import ConflictError, MaterialiserError
from tidemill.core.records import Artifact, Execution, Metric
from tidemill.engine.arguments import artifact_of
from tidemill.engine.materialisers import load, save
from tidemill.store import values
from tidemill.store.artifacts import ArtifactStore
from tidemill.store.database import Transaction

_KINDS = frozenset({"metric", "param", "tag"})

#: The name of the output event that keeps what was recorded, for runs that take the step from the cache.
LOGGED = "(logged)"


def keep_logged(logged: Sequence[tuple[str, Any]], artifacts: ArtifactStore) -> list[tuple[str, Artifact]]:
    """Store what an execution recorded, without its times; nothing if there is nothing, or it is not plain."""
    kept = [
        [kind, {name: value for name, value in payload.items() if name != "time"}]
        for kind, payload in logged
        if kind in _KINDS
    ]
    try:
        return [(LOGGED, artifact_of(save(kept, None, artifacts)))] if kept else []
    except MaterialiserError:
        return []


def read_logged(artifact: Artifact, artifacts: ArtifactStore) -> list[tuple[str, Any]]:
    """What `keep_logged` stored."""
    return [(kind, payload) for kind, payload in load(artifact, None, artifacts)]


def put_logged(tx: Transaction, execution: Execution, logged: Sequence[tuple[str, Any]]) -> None:
    """Write the metrics, parameters and tags that an execution recorded.

    Parameters
    ----------
    tx
        The transaction that ends the execution.
    execution
        Whose they are.
    logged
        ``("metric", {"name", "value", "step", "time", "context"})``, of which only name and value are needed;
        ``("param", {"name", "value"})``; ``("tag", {"name", "value"})``. Other kinds are left alone.
    """
    if not logged:
        return
    metrics = [_metric(execution, payload) for kind, payload in logged if kind == "metric"]
    if metrics:
        values.put_metrics(tx, metrics)
    params = _named(logged, "param")
    tags = _named(logged, "tag")
    if params:
        try:
            values.put_params(tx, execution.run_id, params)
        except ConflictError as error:  # the first value stays; the step's outputs are not lost over it
            tags["tidemill.param_conflict"] = str(error)
    if tags:
        values.put_tags(tx, execution.run_id, tags)


def _metric(execution: Execution, payload: Mapping[str, Any]) -> Metric:
    return Metric(
        run_id=execution.run_id,
        name=payload["name"],
        value=float(payload["value"]),
        step=payload.get("step") or 0,
        time=payload.get("time") or now_us(),
        context=payload.get("context") or "",
        execution_id=execution.id,
    )


def _named(logged: Sequence[tuple[str, Any]], wanted: str) -> dict[str, str]:
    return {payload["name"]: str(payload["value"]) for kind, payload in logged if kind == wanted}
