"""One run as plain values: its steps with seconds and rows, and the records that its steps produced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any, TypeVar

from tidemill.core.records import Artifact, Execution, Run
from tidemill.engine import materialisers
from tidemill.server.subjects import Subjects
from tidemill.store import Store, executions, lineage, runs

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Stage:
    """One step call of a run.

    Parameters
    ----------
    name, node, status
        The stage's label, its place in the run, how it ended.
    seconds, cpu_seconds
        Wall and CPU time; zero for what was cached.
    rows_in, rows_out
        Rows of the tables that it read and wrote; None where it read or wrote none.
    """

    name: str
    node: str
    status: str
    seconds: float
    cpu_seconds: float
    rows_in: int | None
    rows_out: int | None
    execution_id: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as it can be told.

    Parameters
    ----------
    run
        The run itself.
    stages
        Its steps, in order.
    records
        Every record that its steps produced, as (node, output name, value).
    subjects
        By node, the name of the source that its first table comes from, where there is one.
    """

    run: Run
    stages: tuple[Stage, ...]
    records: tuple[tuple[str, str, Any], ...]
    subjects: Mapping[str, str] = field(default_factory=dict)

    def records_of(self, *kinds: type[R]) -> list[R]:
        """The produced records of these classes, in the order of the run."""
        return [value for _, _, value in self.records if isinstance(value, kinds)]

    def last(self, *kinds: type[R]) -> R | None:
        """The last produced record of these classes."""
        found = self.records_of(*kinds)
        return found[-1] if found else None


def summarise(store: Store, run_id: str, stage_names: Mapping[str, str] | None = None) -> RunSummary:
    """Read a run back from the store.

    Parameters
    ----------
    store
        Where it is recorded.
    run_id
        Its id, or the beginning of one.
    stage_names
        Labels by node; a step's own name where there is none.
    """
    names = stage_names or {}
    stages: list[Stage] = []
    found: list[tuple[str, str, Artifact]] = []
    subjects: dict[str, str] = {}
    with store.metadata.reading() as tx:
        run = runs.get(tx, run_id)
        known = Subjects(store, tx)
        for execution in executions.of_run(tx, run.id):
            outputs = lineage.outputs(tx, execution.id)
            inputs = lineage.inputs(tx, execution.id)
            stages.append(_stage(execution, names.get(execution.node, execution.step), inputs, outputs))
            plain = [(name, artifact) for name, artifact in outputs if artifact.type in ("record", "json")]
            found += [(execution.node, name, artifact) for name, artifact in plain]
            subject = known.of(execution) if plain else None
            if subject is not None:
                subjects[execution.node] = subject
    loaded = [(node, name, materialisers.load(artifact, None, store.artifacts)) for node, name, artifact in found]
    return RunSummary(run, tuple(stages), tuple(item for item in loaded if _is_record(item[2])), subjects)


def _is_record(value: Any) -> bool:
    """Whether a value is a record, or a list of records."""
    if isinstance(value, list):
        return bool(value) and all(is_dataclass(item) for item in value)
    return is_dataclass(value)


def _stage(
    execution: Execution, name: str, inputs: Iterable[tuple[str, Artifact]], outputs: Iterable[tuple[str, Artifact]]
) -> Stage:
    return Stage(
        name=name,
        node=execution.node,
        status=execution.status,
        seconds=execution.seconds,
        cpu_seconds=execution.cpu_seconds,
        rows_in=_rows(inputs),
        rows_out=_rows(outputs),
        execution_id=execution.id,
        error=execution.error or "",
    )


def _rows(artifacts: Iterable[tuple[str, Artifact]]) -> int | None:
    counts = {artifact.id: artifact.metadata["rows"] for _, artifact in artifacts if "rows" in artifact.metadata}
    return sum(counts.values()) if counts else None
