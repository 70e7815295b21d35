"""What every metadata database must do for the registry and the audit trail, also when many ask at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tidemill.core.errors import ConflictError, NotFoundError
from tidemill.core.ids import new_id
from tidemill.core.records import Alias, ModelVersion
from tidemill.store import audit, executions, leases, models, runs
from tidemill.store.database import Database
from tidemill.testing.building import AWKWARD, a_run, an_artifact, made_by, raises

__all__ = ["CHECKS"]


def check_versions_are_numbered_and_come_back(database: Database) -> None:
    """Numbers count up for each model, and every field survives; what may change can be changed."""
    run = a_run(database)
    (package,) = made_by(database, run, "package")
    draft = ModelVersion(
        new_id(),
        "late",
        0,
        5,
        run.id,
        None,
        package.id,
        "registered",
        AWKWARD,
        {"a": "b"},
        {"auc": 0.75},
        {"passed": True},
    )
    with database.transaction() as tx:
        first = models.insert_version(tx, draft)
        second = models.insert_version(tx, replace(draft, id=new_id(), run_id=None))
        other = models.insert_version(tx, replace(draft, id=new_id(), model="early"))
        assert first == replace(draft, version=1)
        assert (second.version, other.version) == (2, 1)
        changed = replace(first, stage="champion", tags={"c": "d"}, metrics={}, gate={"n": [1]}, archived=True)
        models.update_version(tx, changed)
    with database.reading() as tx:
        assert models.get_version(tx, "late", 1) == changed
        assert models.get_version(tx, "late", "1") == changed
        assert models.get_version_by_id(tx, first.id) == changed
        assert models.list_models(tx) == ["early", "late"]
        assert models.list_versions(tx, "late") == sorted([changed, second], key=lambda v: v.id, reverse=True)
        assert {version.id for version in models.list_versions(tx, run_id=run.id)} == {first.id, other.id}
        assert len(models.list_versions(tx, package=package.id)) == 3
        page = models.list_versions(tx, limit=2)
        assert models.list_versions(tx, limit=2, before=page[-1].id) == models.list_versions(tx)[2:]
    raises(database, NotFoundError, lambda tx: models.get_version(tx, "late", 3), "newest versions are 2, 1")
    raises(database, NotFoundError, lambda tx: models.get_version(tx, "nobody", 1), "early, late")
    raises(database, NotFoundError, lambda tx: models.update_version(tx, replace(draft, id="nobody")))
    raises(database, NotFoundError, lambda tx: models.insert_version(tx, replace(draft, id=new_id(), package="nobody")))
    raises(database, ConflictError, lambda tx: models.insert_version(tx, draft))
    with database.transaction() as tx:
        assert models.insert_version(tx, replace(draft, id=new_id())).version == 3


def check_aliases_move(database: Database) -> None:
    """An alias points at one existing version, moves, says where it was, and goes without its version."""
    (package,) = made_by(database, a_run(database), "package")
    with database.transaction() as tx:
        for number in (1, 2, 3):
            models.insert_version(
                tx, ModelVersion(f"v{number}", "late", 0, 5, None, None, package.id, archived=number == 3)
            )
        first = Alias("late", "champion", 1, 10)
        assert models.set_alias(tx, first) is None
        assert models.set_alias(tx, replace(first, version=2, updated_at=11)) == first
        assert models.get_version(tx, "late", "champion").version == 2
        assert models.get_version(tx, "late", "latest").version == 2
        assert models.aliases(tx) == models.aliases(tx, "late") == [Alias("late", "champion", 2, 11)]
        assert models.aliases(tx, "early") == []
    raises(database, NotFoundError, lambda tx: models.set_alias(tx, replace(first, version=9)))
    raises(database, NotFoundError, lambda tx: models.get_version(tx, "late", "shadow"), "champion -> 2")
    with database.transaction() as tx:
        assert models.delete_alias(tx, "late", "champion")
        assert not models.delete_alias(tx, "late", "champion")
        assert models.get_version(tx, "late", 2).version == 2


def check_the_audit_trail_is_paged(database: Database) -> None:
    """Who did what to what comes back newest first, filtered, without gaps or repeats."""
    with database.transaction() as tx:
        made = [
            audit.record(
                tx, f"model.{i % 2}", f"model:{i % 3}", {"i": i, "text": AWKWARD}, actor="ann" if i % 5 else None
            )
            for i in range(20)
        ]
        expected = [event.id for event in sorted(made, key=lambda event: (event.at, event.id), reverse=True)]
        paged: list[str] = []
        while page := audit.list_events(tx, limit=3, before=paged[-1] if paged else None):
            paged += [event.id for event in page]
        assert paged == expected
        assert {event.subject for event in audit.list_events(tx, "model:1")} == {"model:1"}
        assert len(audit.list_events(tx, action="model.1")) == 10
        assert len(audit.list_events(tx, actor="ann")) == 16
        assert audit.list_events(tx)[0] in made
        assert all(event.actor for event in made)
    raises(database, NotFoundError, lambda tx: audit.list_events(tx, before="nobody"))


def check_many_threads_lose_nothing(database: Database) -> None:
    """Eight threads that write at once: every write is kept, numbers have no gaps, one of them gets the lease."""
    run = a_run(database)
    (package,) = made_by(database, run, "package")

    def work(worker: int) -> bool:
        for i in range(10):
            shared = an_artifact()
            with database.transaction() as tx:
                models.insert_version(tx, ModelVersion(new_id(), "late", 0, i, run.id, None, package.id))
                executions.put_artifacts(tx, [shared, package])
            with database.reading() as tx:
                assert runs.get(tx, run.id) == run
        try:
            with database.transaction() as tx:
                leases.acquire(tx, "run:r", str(worker), 60)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        took: list[Any] = list(pool.map(work, range(8)))
    assert sum(took) == 1
    with database.reading() as tx:
        numbers = [version.version for version in models.list_versions(tx, "late", limit=100)]
    assert sorted(numbers) == list(range(1, 81))


#: Every check of this module, for `tidemill.testing.metadata_contract`.
CHECKS: tuple[Callable[[Database], None], ...] = tuple(
    check for name, check in list(globals().items()) if name.startswith("check_")
)
