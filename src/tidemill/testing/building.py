"""Records to test a store with, and assertions about how it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidemill.core.digests import digest_value
from tidemill.core.errors import TidemillError
from tidemill.core.ids import new_id
from tidemill.core.records import Artifact, Execution, Run
from tidemill.store import executions, runs
from tidemill.store.database import Database, Transaction

#: Text that a careless store changes: other scripts, an emoji, quotes, percent and colon signs, a line break.
AWKWARD = "Ωμέγα 🌊 \"quoted\" 'it''s' 100 % :name ?1 %(x)s\n\ttab"


def a_run(database: Database) -> Run:
    """A running run, stored."""
    run = Run(new_id(), "p", "train", "running", 1)
    with database.transaction() as tx:
        runs.insert(tx, run)
    return run


def an_artifact(*, inline: str = "1", metadata: Mapping[str, Any] | None = None) -> Artifact:
    """A plain value, not stored."""
    id_ = new_id()
    return Artifact(id_, digest_value(id_), "json", "plain", len(inline), 1, inline, metadata=metadata or {})


def made_by(database: Database, run: Run, step: str, used: Sequence[Artifact] = ()) -> list[Artifact]:
    """The one output of a new, succeeded execution of `step`, stored."""
    artifact = an_artifact()
    execution = Execution(new_id(), run.id, step, step, "succeeded", 1, 2)
    with database.transaction() as tx:
        executions.record(tx, execution, [(str(i), a.id) for i, a in enumerate(used)], [("output", artifact)])
    return [artifact]


def fails(kind: type[TidemillError], call: Callable[[], object], message: str = "") -> None:
    """Make sure that a call raises this kind of error, with this text in its message."""
    try:
        call()
    except kind as error:
        if message not in str(error):
            raise AssertionError(f"{message!r} is not in the message: {error}") from error
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


def raises(
    database: Database, kind: type[TidemillError], write: Callable[[Transaction], object], message: str = ""
) -> None:
    """Make sure that a write transaction with this call in it raises this kind of error."""

    def call() -> None:
        with database.transaction() as tx:
            write(tx)

    fails(kind, call, message)
