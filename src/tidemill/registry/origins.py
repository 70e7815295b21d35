"""Where a version comes from, read from the lineage of its package: sources, tables, commit, and what was reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tidemill.core.errors import MaterialiserError, NotFoundError, StoreError
from tidemill.core.records import Artifact, ModelVersion, Run
from tidemill.engine import materialisers
from tidemill.project.secrets import redact
from tidemill.store import Store, executions, lineage, runs
from tidemill.store.database import Transaction
from tidemill.tracking import TraceNode, trace

R = TypeVar("R")
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class SourceRead:
    """A source as it was read: its name and place, the digest of the table, its rows and columns, how many files."""

    name: str
    uri: str
    digest: str
    rows: int | None
    columns: int | None
    files: int = 0


@dataclass(frozen=True, slots=True)
class TableUsed:
    """A table that the training was given: under which name, and what it was."""

    name: str
    digest: str
    rows: int | None
    columns: int | None


@dataclass(frozen=True, slots=True)
class Origins:
    """What the store knows of how a version came about; empty where it was made outside of runs.

    Parameters
    ----------
    run
        The run that registered it.
    sources, tables
        What was read, and what the training was given.
    commit, code
        The commit of the run that trained it, and the digest of the code of the step that did.
    records
        Reports and other records of the steps behind it, the first first.
    examined
        The table of the last independent test.
    """

    run: Run | None = None
    sources: tuple[SourceRead, ...] = ()
    tables: tuple[TableUsed, ...] = ()
    commit: str = ""
    code: str = ""
    records: tuple[Any, ...] = field(default=(), repr=False)
    examined: TableUsed | None = None

    def last(self, kind: type[R]) -> R | None:
        """The last record of a class; None if there is none."""
        found = [record for record in self.records if isinstance(record, kind)]
        return found[-1] if found else None


def origins_of(store: Store, version: ModelVersion) -> Origins:
    """Follow a version back to what it was made from."""
    nodes = list(_nodes(store, version))
    calls = [node for node in nodes if node.kind == "execution"]
    trained = next((node for node in calls if _makes_the_model(node, nodes)), None)
    with store.metadata.reading() as tx:
        run = _run(tx, version.run_id)
        sources = tuple(_source(tx, node, nodes) for node in calls if node.details.get("step") == "read")
        tables = tuple(_tables(tx, trained)) if trained is not None else ()
        code = executions.get(tx, trained.id).code if trained is not None else ""
        tests = [table for node in calls if node.details.get("step") == "examine" for table in _tables(tx, node)]
        found = list(_plain(tx, [*(node.id for node in reversed(calls)), version.execution_id]))
    commits = [node.details.get("commit", "") for node in ([trained] if trained else [])]
    commits += [run.commit] if run else []
    records, commit = tuple(_loaded(found, store)), next(filter(None, commits), "")
    return Origins(run, sources, tables, commit, code, records, tests[0] if tests else None)


def _nodes(store: Store, version: ModelVersion) -> Iterator[TraceNode]:
    seen: set[str] = set()
    subjects = [version.id, *([version.execution_id] if version.execution_id else [])]
    for subject in subjects:
        for node in trace(subject, store=store).walk():
            if node.id not in seen:
                seen.add(node.id)
                yield node


def _makes_the_model(node: TraceNode, nodes: Iterable[TraceNode]) -> bool:
    models = [other for other in nodes if other.kind == "artifact" and other.details.get("type") == "model"]
    made = any(link.id == node.id for model in models for link in model.links)
    return made and any(link.details.get("type") == "table" for link in node.links)


def _run(tx: Transaction, run_id: str | None) -> Run | None:
    try:
        return None if run_id is None else runs.get(tx, run_id)
    except NotFoundError:
        return None


def _source(tx: Transaction, node: TraceNode, nodes: Iterable[TraceNode]) -> SourceRead:
    pinned = node.details.get("arguments", {}).get("source")
    declared = pinned.get("source", pinned) if isinstance(pinned, Mapping) else {}
    files = pinned.get("files", ()) if isinstance(pinned, Mapping) else ()
    made = next(
        (other for other in nodes if other.kind == "artifact" and any(link.id == node.id for link in other.links)), None
    )
    table = None if made is None else lineage.get_artifact(tx, made.id)
    name = str(declared.get("name") or "") if isinstance(declared, Mapping) else ""
    uri = str(declared.get("uri") or "") if isinstance(declared, Mapping) else str(declared)
    return SourceRead(
        name or node.name, redact(uri), "" if table is None else table.digest, _count(table, "rows"),
        _count(table, "columns"), len(files),
    )  # fmt: skip


def _tables(tx: Transaction, node: TraceNode) -> Iterator[TableUsed]:
    """The parts in their order, anything else after them."""
    found = [link for link in node.links if link.details.get("type") == "table"]
    order = {name: place for place, name in enumerate(_PARTS)}
    for link in sorted(found, key=lambda link: (order.get(link.name.rpartition(".")[2], len(order)), link.name)):
        artifact = lineage.get_artifact(tx, link.id)
        yield TableUsed(link.name, artifact.digest, _count(artifact, "rows"), _count(artifact, "columns"))


def _count(artifact: Artifact | None, name: str) -> int | None:
    value = None if artifact is None else artifact.metadata.get(name)
    return value if isinstance(value, int) else None


def _plain(tx: Transaction, calls: Iterable[str | None]) -> Iterator[Artifact]:
    """The artifacts that may hold records: outputs of the steps, and what the last one was given."""
    seen: set[str] = set()
    for execution in filter(None, calls):
        for _, artifact in (*lineage.inputs(tx, execution), *lineage.outputs(tx, execution)):
            if artifact.type in ("record", "json") and artifact.id not in seen:
                seen.add(artifact.id)
                yield artifact


def _loaded(found: Iterable[Artifact], store: Store) -> Iterator[Any]:
    for artifact in found:
        if artifact.type != "record":
            continue
        try:
            yield materialisers.load(artifact, None, store.artifacts)
        except (MaterialiserError, StoreError):  # its class is gone, or its bytes were left out: then it says nothing
            continue
