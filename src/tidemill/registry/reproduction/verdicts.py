"""Every step of a repeated run beside the recorded one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tidemill.core.records import Artifact, Execution
from tidemill.engine.key import explain
from tidemill.registry.reproduction.differing import first_difference
from tidemill.registry.reproduction.ground import going_on
from tidemill.registry.reproduction.records import StepVerdict
from tidemill.store import Store, executions, lineage
from tidemill.tracking.views import is_bookkeeping


@dataclass(frozen=True, slots=True)
class _Done:
    """What a run knows of one node."""

    execution: Execution
    parts: Mapping[str, str]
    inputs: Mapping[str, str]
    outputs: Mapping[str, Artifact]


def verdicts(store: Store, recorded: str, repeated: str) -> tuple[StepVerdict, ...]:
    """Compare the steps of two runs, in the order of the recorded one.

    A step that differs only because another did is said to differ by its inputs: the cause is the first of them.
    """
    now = _done(store, repeated) if repeated else {}
    then: dict[str, _Done] = {}
    for run in going_on(store, recorded):
        for node, was in _done(store, run).items():
            if was.execution.status in _ENDED_WELL:
                then.setdefault(node, was)
    return tuple(_verdict(store, was, now.get(node)) for node, was in then.items())


_ENDED_WELL = ("succeeded", "cached")


def _done(store: Store, run_id: str) -> dict[str, _Done]:
    with store.metadata.reading() as tx:
        found = {}
        for execution in executions.of_run(tx, run_id):
            inputs, outputs = lineage.inputs(tx, execution.id), lineage.outputs(tx, execution.id)
            found[execution.node] = _Done(
                execution,
                {**(executions.get_fingerprint(tx, execution.code) or {}), **execution.key_parts},
                {name: artifact.digest for name, artifact in inputs if not is_bookkeeping(name)},
                {name: artifact for name, artifact in outputs if not is_bookkeeping(name)},
            )
    return found


def _verdict(store: Store, was: _Done, again: _Done | None) -> StepVerdict:
    node, stage = was.execution.node, was.execution.step
    if again is None or again.execution.status not in _ENDED_WELL:
        error = "" if again is None else again.execution.error or again.execution.status
        return StepVerdict(node, stage, "absent", detail=f"it failed: {error}" if error else "it was not executed")
    if again.execution.status == "cached":
        return StepVerdict(node, stage, "taken")
    changed = [
        name
        for name in [*was.outputs, *(set(again.outputs) - set(was.outputs))]
        if _digest(was.outputs.get(name)) != _digest(again.outputs.get(name))
    ]
    if not changed:
        return StepVerdict(node, stage, "equal")
    old, new = was.outputs.get(changed[0]), again.outputs.get(changed[0])
    detail = f"output {changed[0]!r} is not in both"
    if old is not None and new is not None:
        detail = first_difference(old, new, store.artifacts)
    return StepVerdict(node, stage, "different", tuple(explain(was.parts, again.parts)), detail)


def _digest(artifact: Artifact | None) -> str | None:
    return None if artifact is None else artifact.digest
