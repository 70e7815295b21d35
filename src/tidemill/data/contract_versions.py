"""Named contracts in the store: every version kept, with who saved it, when, and what changed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import NotFoundError
from tidemill.core.ids import new_id
from tidemill.core.records import Artifact, Context
from tidemill.data.contract import TableContract, contract_digest, require_contract
from tidemill.data.contract_changes import contract_changes
from tidemill.data.expected import COUNT, TEXT, require, require_set
from tidemill.engine import materialisers
from tidemill.project import current_project, open_project_store
from tidemill.store import Store, audit, contexts, executions, lineage
from tidemill.store.database import Transaction


@dataclass(frozen=True, slots=True)
class ContractVersion:
    """One version of a named contract.

    Parameters
    ----------
    name, version
        What it is called, and its number, from 1 without gaps.
    digest
        Of what the contract says; a `ValidationReport` names the contract by it.
    artifact
        The id of the artifact that holds it.
    created_at, by
        When (UTC, microseconds) and by whom it was saved.
    predecessor
        The digest of the version before; None for the first.
    changes
        What is stricter, laxer or otherwise changed since then, one sentence each.
    """

    name: str
    version: int
    digest: str
    artifact: str
    created_at: int
    by: str
    predecessor: str | None = None
    changes: tuple[str, ...] = ()


def save_contract(contract: TableContract, *, store: Store | None = None) -> ContractVersion:
    """Keep a contract in the project's store as the next version of its name; an unchanged one stays what it is.

    Parameters
    ----------
    contract
        The contract; its `name` is the name under which it is kept.
    store
        Another store than the current project's.

    Examples
    --------
    >>> import tempfile
    >>> from tidemill.data.contract import ColumnRule
    >>> from tidemill.store import open_store
    >>> folder = tempfile.mkdtemp()
    >>> store = open_store(f"sqlite:///{folder}/store.db", f"{folder}/artifacts")
    >>> save_contract(TableContract("weather", (ColumnRule("wind", maximum=200),)), store=store).version
    1
    >>> save_contract(TableContract("weather", (ColumnRule("wind", maximum=150),)), store=store).changes
    ('column wind: maximum: 200 -> 150 (stricter)',)
    """
    require_contract(contract)
    store = store or open_project_store(current_project())
    digest = contract_digest(contract)
    draft = materialisers.save(contract, None, store.artifacts)
    with store.metadata.transaction() as tx:
        # Storing the parent locks it until the transaction ends: nobody else can take the same number.
        parent = contexts.put(tx, Context(new_id(), "contract", contract.name, clock.now_us()))
        known = _versions(tx, parent)
        if known and known[-1].digest == digest:
            return known[-1]
        changes: tuple[str, ...] = ()
        if known:
            changes = tuple(map(str, contract_changes(_load(tx, known[-1], store), contract)))
        artifact = Artifact(
            new_id(), draft.digest, draft.type, draft.materialiser, draft.size, clock.now_us(), draft.inline,
            draft.blob, {**draft.metadata, "contract": contract.name, "version": len(known) + 1},
        )  # fmt: skip
        executions.put_artifacts(tx, [artifact])
        event = audit.record(
            tx, "contract.save", f"contract:{contract.name}@{len(known) + 1}", {"digest": digest, "changes": changes}
        )
        made = ContractVersion(
            contract.name, len(known) + 1, digest, artifact.id, event.at, event.actor,
            known[-1].digest if known else None, changes,
        )  # fmt: skip
        contexts.put(tx, Context(new_id(), "contract", f"{made.version}", event.at, parent.id, _attributes(made)))
    return made


def load_contract(name: str, version: int | None = None, *, store: Store | None = None) -> TableContract:
    """A contract from the project's store: its newest version, or the one with this number.

    Raises
    ------
    NotFoundError
        If there is none; the message says which there are.
    """
    require("load_contract", name=(name, TEXT))
    require_set("load_contract", version=(version, COUNT))
    store = store or open_project_store(current_project())
    with store.metadata.reading() as tx:
        known = _versions(tx, _named(tx, name))
        if version is None:
            return _load(tx, known[-1], store)
        for item in known:
            if item.version == version:
                return _load(tx, item, store)
    raise NotFoundError(
        f"the contract {name!r} has no such version", value=version, hint=f"It has 1 to {known[-1].version}."
    )


def contract_versions(name: str | None = None, *, store: Store | None = None) -> tuple[ContractVersion, ...]:
    """Every version of a contract, oldest first; without a name, the newest version of every contract."""
    store = store or open_project_store(current_project())
    with store.metadata.reading() as tx:
        if name is not None:
            return tuple(_versions(tx, _named(tx, name)))
        return tuple(_versions(tx, parent)[-1] for parent in _all(tx))


def _all(tx: Transaction) -> list[Context]:
    return [context for context in contexts.list_contexts(tx, "contract") if context.parent_id is None]


def _named(tx: Transaction, name: str) -> Context:
    found = contexts.find(tx, "contract", name)
    if found is None:
        known = ", ".join(itertools.islice((context.name for context in _all(tx)), 12))
        raise NotFoundError(
            "there is no contract of this name in the store", value=name,
            hint=f"There are: {known}." if known else "Save one: tidemill contract save FILE.toml",
        )  # fmt: skip
    return found


def _versions(tx: Transaction, parent: Context) -> list[ContractVersion]:
    children = contexts.list_contexts(tx, "contract", parent.id)
    made = [
        ContractVersion(parent.name, int(child.name), created_at=child.created_at, **_given(child.attributes))
        for child in children
    ]
    return sorted(made, key=lambda item: item.version)


def _attributes(version: ContractVersion) -> dict[str, Any]:
    return {
        "digest": version.digest, "artifact": version.artifact, "by": version.by,
        "predecessor": version.predecessor, "changes": list(version.changes),
    }  # fmt: skip


def _given(attributes: Any) -> dict[str, Any]:
    return {**attributes, "changes": tuple(attributes["changes"])}


def _load(tx: Transaction, version: ContractVersion, store: Store) -> TableContract:
    artifact = lineage.get_artifact(tx, version.artifact)
    contract: TableContract = materialisers.load(artifact, TableContract, store.artifacts)
    return contract
