"""What every metadata database must do for the registry and the audit trail, also when many ask at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from tidemill.core.errors import ConflictError, NotFoundError
from tidemill.core.ids import new_id
from tidemill.core.records import Alias, Approval, Delivery, ModelVersion
from tidemill.store import approvals, audit, executions, leases, models, outbox, runs
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
        owner="ann",
        registered_by=AWKWARD,
    )
    with database.transaction() as tx:
        first = models.insert_version(tx, draft)
        second = models.insert_version(tx, replace(draft, id=new_id(), run_id=None))
        other = models.insert_version(tx, replace(draft, id=new_id(), model="early"))
        assert first == replace(draft, version=1)
        assert (second.version, other.version) == (2, 1)
        changed = replace(
            first, stage="champion", tags={"c": "d"}, metrics={}, gate={"n": [1]}, archived=True, owner=AWKWARD
        )
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


def check_versions_are_found_by_what_is_said_of_them(database: Database) -> None:
    """By tag, owner and stage, in pages, as they are said now and not as they were said once."""
    (package,) = made_by(database, a_run(database), "package")
    with database.transaction() as tx:
        made = [
            models.insert_version(
                tx,
                ModelVersion(
                    f"v{i:02}",
                    "late",
                    0,
                    i // 3,
                    None,
                    None,
                    package.id,
                    owner="ann" if i % 2 else "bob",
                    tags={"team": "ops" if i % 3 else AWKWARD, f"only{i}": ""},
                ),
            )
            for i in range(12)
        ]
        newest = sorted(made, key=lambda one: (one.created_at, one.id), reverse=True)
        assert models.list_versions(tx, tags={"team": AWKWARD}) == [one for one in newest if one.version % 3 == 1]
        assert models.list_versions(tx, tags={"only7": None}, owner="ann") == [made[7]]
        assert models.list_versions(tx, tags={"only7": "x"}) == []
        paged: list[ModelVersion] = []
        while page := models.list_versions(tx, owner="bob", limit=4, before=paged[-1].id if paged else None):
            paged += page
        assert paged == [one for one in newest if one.owner == "bob"]
        models.update_version(tx, replace(made[7], tags={"team": "data"}, stage="staging"))
        assert models.list_versions(tx, tags={"only7": None}) == []
        assert [one.id for one in models.list_versions(tx, stage="staging", tags={"team": None})] == ["v07"]


def check_models_have_an_owner_and_tags(database: Database) -> None:
    """What is said of a model itself survives, is found, and is not mixed up with its versions."""
    (package,) = made_by(database, a_run(database), "package")
    with database.transaction() as tx:
        for name in ("b", "a", "c"):
            models.reserve(tx, name, 7)
            models.insert_version(tx, ModelVersion(name, name, 0, 5, None, None, package.id, tags={"kind": "version"}))
        models.lock(tx, "a")
        before = models.get_model(tx, "a")
        assert (before.created_at, before.last_version, before.owner, before.tags) == (7, 1, "", {})
        changed = replace(before, owner="ann", description=AWKWARD, tags={"kind": "model"})
        models.update_model(tx, changed)
    with database.reading() as tx:
        assert models.get_model(tx, "a") == changed
        assert [one.name for one in models.search_models(tx, limit=2)] == ["a", "b"]
        assert [one.name for one in models.search_models(tx, after="b")] == ["c"]
        assert models.search_models(tx, owner="ann", tags={"kind": "model"}) == [changed]
        assert models.search_models(tx, tags={"kind": "version"}) == []
        assert len(models.list_versions(tx, tags={"kind": "version"})) == 3
    raises(database, NotFoundError, lambda tx: models.get_model(tx, "aa"), "a, b, c")
    raises(database, NotFoundError, lambda tx: models.update_model(tx, replace(changed, name="nobody")))


def check_a_version_can_come_back_under_its_number(database: Database) -> None:
    """A version from elsewhere keeps its number; later ones count on; a number that is taken is refused."""
    (package,) = made_by(database, a_run(database), "package")
    old = ModelVersion("old", "late", 7, 5, None, None, package.id)
    with database.transaction() as tx:
        models.insert_numbered(tx, old)
        assert models.get_version(tx, "late", 7) == old
        assert models.insert_version(tx, replace(old, id="new")).version == 8
        models.insert_numbered(tx, replace(old, id="older", version=3))
        assert models.get_model(tx, "late").last_version == 8
    raises(
        database, ConflictError, lambda tx: models.insert_numbered(tx, replace(old, id="other")), "another version 7"
    )


def check_approvals_belong_to_a_version(database: Database) -> None:
    """Who agreed comes back in order, can be taken back, and cannot be kept for what is not there."""
    (package,) = made_by(database, a_run(database), "package")
    with database.transaction() as tx:
        models.insert_version(tx, ModelVersion("v", "late", 0, 5, None, None, package.id))
        given = [Approval(f"a{i}", "v", alias, AWKWARD, i, AWKWARD, "e") for i, alias in enumerate(("", "champion"))]
        for approval in given[::-1]:
            approvals.insert(tx, approval)
    with database.transaction() as tx:
        assert approvals.of_version(tx, "v") == given
        assert approvals.withdraw(tx, "v", "", AWKWARD)
        assert not approvals.withdraw(tx, "v", "", AWKWARD)
        assert approvals.of_version(tx, "v") == given[1:]
    raises(database, NotFoundError, lambda tx: approvals.insert(tx, replace(given[0], version_id="nobody")))


def check_the_outbox_gives_each_delivery_to_one(database: Database) -> None:
    """What is due is claimed once, comes again when nothing is heard of it, and a late answer changes nothing."""
    made = [
        Delivery(f"d{i}", "hook", f"e{i}", "alias.moved", i, {"text": AWKWARD}, next_at=10 * (i + 1)) for i in range(3)
    ]
    with database.transaction() as tx:
        outbox.put(tx, made)
    with database.transaction() as tx:
        assert outbox.claim(tx, now=5, until=100) is None
        first = outbox.claim(tx, now=25, until=100)
        second = outbox.claim(tx, now=25, until=100)
        assert first == replace(made[0], attempts=1, next_at=100)
        assert second == replace(made[1], attempts=1, next_at=100)
        assert outbox.claim(tx, now=25, until=100) is None
        again = outbox.claim(tx, now=100, until=200)
        assert again in (replace(made[2], attempts=1, next_at=200), replace(first, attempts=2, next_at=200))
        while outbox.claim(tx, now=100, until=200) is not None:
            pass
        assert not outbox.settle(tx, replace(first, status="delivered", delivered_at=1))
        assert outbox.settle(tx, replace(first, attempts=2, status="dead", error=AWKWARD))
        dead = outbox.list_deliveries(tx, status="dead")
        assert [(one.id, one.error) for one in dead] == [("d0", AWKWARD)]
        assert outbox.counts(tx) == {"hook": {"waiting": 2, "dead": 1}}
        assert outbox.retry(tx, "d0", now=300)
        revived = outbox.claim(tx, now=300, until=400)
        assert revived is not None
        assert (revived.id, revived.attempts) in {("d0", 1), ("d1", 3), ("d2", 2)}
        paged = [outbox.list_deliveries(tx, webhook="hook", limit=2)]
        paged.append(outbox.list_deliveries(tx, webhook="hook", limit=2, before=paged[0][-1].id))
        assert [one.id for page in paged for one in page] == ["d2", "d1", "d0"]
    raises(database, ConflictError, lambda tx: outbox.put(tx, [replace(made[0], id="other")]))
    raises(database, NotFoundError, lambda tx: outbox.get(tx, "nobody"))


def check_many_senders_claim_each_delivery_once(database: Database) -> None:
    """Eight threads that empty the outbox at once: nothing is claimed twice, nothing is left."""
    with database.transaction() as tx:
        outbox.put(tx, [Delivery(f"d{i:03}", "hook", f"e{i}", "alias.moved", i, {}, next_at=1) for i in range(64)])

    def work(_: int) -> list[str]:
        claimed: list[str] = []
        idle = 0
        while idle < 3:  # others may hold the first ones for a moment
            with database.transaction() as tx:
                found = outbox.claim(tx, now=1, until=1000)
            idle = idle + 1 if found is None else 0
            claimed += [] if found is None else [found.id]
        return claimed

    with ThreadPoolExecutor(8) as pool:
        claimed = [one for several in pool.map(work, range(8)) for one in several]
    assert sorted(claimed) == [f"d{i:03}" for i in range(64)]


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
        for other in ("model:1@champion", "model:1@2", "model:1-more", "model:10", "model:1.x@3"):
            audit.record(tx, "model.other", other)
        about: list[str] = []
        while found := audit.list_about(tx, "model:1", limit=2, before=events[-1] if (events := about) else None):
            about = [*about, *(event.id for event in found)]
        subjects = {event.id: event.subject for event in audit.list_events(tx, limit=100)}
        assert {subjects[id_] for id_ in about} == {"model:1", "model:1@champion", "model:1@2"}
        assert len(about) == len(set(about)) == 9
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
