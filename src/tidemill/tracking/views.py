"""Runs as their users see them: what they were given, measured and made, read from the store when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tidemill.core.records import Artifact, Execution, Metric, Run
from tidemill.engine import parameters
from tidemill.engine.materialisers import load
from tidemill.store import Store, executions, lineage, values


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """A named output of a run; its value is read only when it is asked for.

    Parameters
    ----------
    name
        ``"fit"`` for the output of the node ``fit``, ``"split.train"`` for a part of it.
    node
        The node that made it.
    record
        The stored record: id, digest, type, size, metadata.
    """

    name: str
    node: str
    record: Artifact
    store: Store = field(repr=False, compare=False)

    def load(self, annotation: Any = None) -> Any:
        """Read the value, as the given type of table or as it was stored (a table as a Polars frame)."""
        return load(self.record, annotation, self.store.artifacts)

    @property
    def value(self) -> Any:
        """The value, read anew each time."""
        return self.load()


class RunView:
    """One run and everything that is known of it, as it was when it was first asked for.

    Parameters
    ----------
    record
        The run itself.
    store
        Where the rest is.
    """

    def __init__(self, record: Run, store: Store) -> None:
        self.record = record
        self.store = store

    @property
    def id(self) -> str:
        """The run's id."""
        return self.record.id

    @property
    def pipeline(self) -> str:
        """The pipeline's name, ``"notebook"`` for a session."""
        return self.record.pipeline

    @property
    def status(self) -> str:
        """How it ended, or ``"running"``."""
        return self.record.status

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        ended = self.record.ended_at
        return None if ended is None else (ended - self.record.started_at) / 1e6

    @cached_property
    def executions(self) -> tuple[Execution, ...]:
        """The executions of its steps, every attempt, in the order in which they started."""
        with self.store.metadata.reading() as tx:
            return tuple(executions.of_run(tx, self.id))

    @cached_property
    def params(self) -> Mapping[str, str]:
        """The pipeline's arguments and what was logged with `log_params`, as text."""
        with self.store.metadata.reading() as tx:
            logged = values.params(tx, self.id)
        return {**{name: _text(name, value) for name, value in self.record.arguments.items()}, **logged}

    @cached_property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""
        with self.store.metadata.reading() as tx:
            return values.tags(tx, self.id)

    @cached_property
    def metrics(self) -> Mapping[str, float]:
        """The last value of each metric, by name, or by ``context/name`` where it has a context."""
        with self.store.metadata.reading() as tx:
            return {metric_name(metric): metric.value for metric in values.last_metrics(tx, self.id)}

    def history(self, name: str) -> list[Metric]:
        """Every value of a metric, by step and time; `name` as in `metrics`."""
        context, _, plain = name.rpartition("/")
        with self.store.metadata.reading() as tx:
            found = values.metrics(tx, self.id, name) or values.metrics(tx, self.id, plain)
        return [metric for metric in found if metric_name(metric) == name or (metric.name == name and not context)]

    @cached_property
    def artifacts(self) -> Mapping[str, ArtifactView]:
        """What its steps made, by node and part; see `ArtifactView`."""
        found: dict[str, ArtifactView] = {}
        with self.store.metadata.reading() as tx:
            for execution in self.executions:
                for name, artifact in lineage.outputs(tx, execution.id):
                    if not is_bookkeeping(name):
                        full = execution.node if name == "output" else f"{execution.node}.{name}"
                        found[full] = ArtifactView(full, execution.node, artifact, self.store)
        return found

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.pipeline}: {self.status}>"


def metric_name(metric: Metric) -> str:
    """How a metric is called among the metrics of its run.

    >>> metric_name(Metric("run", "roc_auc", 0.74, context="validation"))
    'validation/roc_auc'
    """
    return f"{metric.context}/{metric.name}" if metric.context else metric.name


def is_bookkeeping(event_name: str) -> bool:
    """Whether an event is the engine's own note, such as ``(arguments)`` or ``(logged)``."""
    return event_name.startswith("(")


def _text(name: str, value: Any) -> str:
    """An argument of the pipeline as text; one that could not be kept has a description."""
    if isinstance(value, dict) and "lost" in value:
        return str(value["lost"])
    return str(parameters.read({name: value}, {})[name])
