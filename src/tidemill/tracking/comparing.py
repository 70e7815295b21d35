"""What differs between two runs, and why their steps do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tidemill.core.records import Artifact, Execution
from tidemill.engine.key import explain
from tidemill.store import Store, executions, lineage
from tidemill.store.database import Transaction
from tidemill.tracking.searching import run as find_run
from tidemill.tracking.views import RunView, is_bookkeeping

#: What a run's environment names by a digest: each is looked up, or is told by its steps.
_TABLES = ("packages", "sources")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same in both runs; None where a run does not have it."""

    name: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True)
class StepDifference:
    """A node whose key, outcome or outputs differ.

    Parameters
    ----------
    node
        Its place in both runs.
    status
        How it ended.
    reasons
        What changed from `a` to `b` in its code, parameters and inputs, one sentence each.
    inputs, outputs
        Digests by name, where they differ.
    """

    node: str
    status: Difference
    reasons: tuple[str, ...]
    inputs: tuple[Difference, ...]
    outputs: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs beside each other, without what is the same.

    Parameters
    ----------
    a, b
        Their ids.
    params, metrics, tags
        By name.
    surroundings
        Pipeline, status, commit, host, user, versions of packages, and what else is recorded of the environment.
    steps
        In the order of `b`, then those that only `a` has.
    """

    a: str
    b: str
    params: tuple[Difference, ...]
    metrics: tuple[Difference, ...]
    tags: tuple[Difference, ...]
    surroundings: tuple[Difference, ...]
    steps: tuple[StepDifference, ...]

    @property
    def computes_the_same(self) -> bool:
        """Whether all steps have the same keys and outputs."""
        return not any(step.reasons or step.outputs for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        return asdict(self)


def compare(a: str | RunView, b: str | RunView, *, store: Store | None = None) -> Comparison:
    """Compare two runs.

    Parameters
    ----------
    a, b
        Ids, beginnings of ids, ``"latest"``, or views; `a` is the earlier one in the explanations.
    store
        Where to look up ids; the current project's store by default.

    Raises
    ------
    NotFoundError
        If there is no such run.
    """
    one, two = (given if isinstance(given, RunView) else find_run(given, store=store) for given in (a, b))
    return Comparison(
        a=one.id,
        b=two.id,
        params=_differences(one.params, two.params),
        metrics=_differences(one.metrics, two.metrics),
        tags=_differences(one.tags, two.tags),
        surroundings=_differences(_surroundings(one), _surroundings(two)),
        steps=_steps(one, two),
    )


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Difference, ...]:
    names = [*a, *(name for name in b if name not in a)]
    return tuple(Difference(name, a.get(name), b.get(name)) for name in names if not _same(a.get(name), b.get(name)))


def _same(a: object, b: object) -> bool:
    return a == b or (a != a and b != b)


def _surroundings(view: RunView) -> dict[str, Any]:
    record = view.record
    named = {name: getattr(record, name) for name in ("project", "pipeline", "status", "commit", "host", "user")}
    plain = {name: value for name, value in record.environment.items() if name not in _TABLES}
    with view.store.metadata.reading() as tx:
        packages = executions.get_fingerprint(tx, str(record.environment.get("packages", ""))) or {}
    return {
        **named,
        **{f"environment.{name}": value for name, value in plain.items()},
        **{f"package.{name}": version for name, version in packages.items()},
    }


def _steps(a: RunView, b: RunView) -> tuple[StepDifference, ...]:
    one, two = ({execution.node: execution for execution in view.executions} for view in (a, b))
    nodes = [*two, *(node for node in one if node not in two)]
    found = [_step(node, _Side.of(a.store, one.get(node)), _Side.of(b.store, two.get(node))) for node in nodes]
    return tuple(step for step in found if step is not None)


@dataclass(frozen=True, slots=True)
class _Side:
    """What one run knows of a node."""

    status: str | None = None
    parts: Mapping[str, str] | None = None
    inputs: Mapping[str, str] | None = None
    outputs: Mapping[str, str] | None = None

    @classmethod
    def of(cls, store: Store, execution: Execution | None) -> _Side:
        if execution is None:
            return cls()
        with store.metadata.reading() as tx:
            return cls(
                execution.status,
                _parts(tx, execution),
                _digests(lineage.inputs(tx, execution.id)),
                _digests(lineage.outputs(tx, execution.id)),
            )


def _digests(events: Sequence[tuple[str, Artifact]]) -> dict[str, str]:
    return {name: artifact.digest for name, artifact in events if not is_bookkeeping(name)}


def _parts(tx: Transaction, execution: Execution) -> dict[str, str]:
    return {**(executions.get_fingerprint(tx, execution.code) or {}), **execution.key_parts}


def _step(node: str, a: _Side, b: _Side) -> StepDifference | None:
    if a.parts is None or b.parts is None:
        reasons = [f"only in the {'second' if a.parts is None else 'first'} run"]
    else:
        reasons = explain(a.parts, b.parts)
    inputs, outputs = _differences(a.inputs or {}, b.inputs or {}), _differences(a.outputs or {}, b.outputs or {})
    # A step that was run once and taken from the cache the other time did the same.
    settled = {"succeeded": "succeeded", "cached": "succeeded"}
    ended_otherwise = settled.get(str(a.status), a.status) != settled.get(str(b.status), b.status)
    if not (reasons or inputs or outputs or ended_otherwise):
        return None
    return StepDifference(node, Difference("status", a.status, b.status), tuple(reasons), inputs, outputs)
