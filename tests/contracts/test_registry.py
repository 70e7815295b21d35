"""The registry on every database: two people who promote at once must not undo each other without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tidemill.core.records import ModelVersion
from tidemill.evaluation.promises import Measurement
from tidemill.packaging.package import Package
from tidemill.registry import promote_version, register_version, resolve, roll_back
from tidemill.registry.approval import approve_version
from tidemill.registry.archiving import archive_version
from tidemill.registry.editing import edit_version, set_stage
from tidemill.registry.history import model_history
from tidemill.registry.restoring import restore_version
from tidemill.registry.rules import rules_of
from tidemill.store import Store, audit, open_store, outbox


@pytest.fixture
def store(metadata_url: str, tmp_path: Path) -> Iterator[Store]:
    with open_store(metadata_url, str(tmp_path / "artifacts")) as opened:
        yield opened


def made(store: Store, packaged: Package, number: int) -> ModelVersion:
    other = Package({**packaged.manifest, "params": {"number": number}}, packaged.files)
    return register_version(store, other, [Measurement("test", "roc_auc", 0.7)], actor="ann")


def test_versions_registered_at_once_are_one(store: Store, packaged: Package) -> None:
    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(lambda _: register_version(store, packaged), range(8)))
    assert {version.version for version in versions} == {1}


def test_promotions_at_once_are_one_after_the_other(store: Store, packaged: Package) -> None:
    rules = rules_of({"webhooks": {"ops": {"url": "http://127.0.0.1:1/"}}})
    for number in range(4):
        made(store, packaged, number)

    def promote(number: int) -> None:
        for _ in range(5):
            promote_version(store, f"flight-delay@{number + 1}", rules=rules)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(promote, range(4)))
    with store.metadata.reading() as tx:
        events = audit.list_events(tx, "model:flight-delay@champion", limit=100)[::-1]
        told = outbox.list_deliveries(tx, limit=100)
    ends = [None, *(event.details["to"] for event in events)]
    assert [event.details["from"] for event in events] == ends[:-1]
    assert resolve(store, "flight-delay@champion").version == ends[-1]
    assert {one.event_id for one in told} == {event.id for event in events}
    while len(ends) > 2:
        assert roll_back(store, "flight-delay").version == ends[-2]
        ends.pop()


def test_the_life_of_a_version(store: Store, packaged: Package) -> None:
    version = made(store, packaged, 1)
    rules = rules_of({"approvals": 1})
    edit_version(store, version, tags={"team": "Ü\0"}, owner="eve")
    approve_version(store, version, note="seen", actor="bob")
    set_stage(store, version, "staging")
    promote_version(store, version, rules=rules, actor="ann")
    actions = [event.action.removeprefix("model.") for event in model_history(store, "flight-delay")]
    assert actions == ["promote", "stage", "approve", "edit", "register"]
    found = resolve(store, "flight-delay")
    assert (found.stage, found.owner, found.registered_by) == ("staging", "eve", "ann")


def test_an_archive_moves_a_version_between_databases(store: Store, packaged: Package, tmp_path: Path) -> None:
    version = made(store, packaged, 1)
    approve_version(store, version, actor="bob")
    archive_version(store, version, tmp_path / "a.tma")
    with open_store(f"sqlite:///{tmp_path}/other.db", str(tmp_path / "other")) as other:
        moved = restore_version(other, tmp_path / "a.tma", name="moved").version
        archive_version(other, moved, tmp_path / "b.tma")
    back = restore_version(store, tmp_path / "b.tma").version
    assert (back.model, back.metrics, back.gate) == ("moved", version.metrics, version.gate)
    assert restore_version(store, tmp_path / "b.tma").version == back
    assert restore_version(store, tmp_path / "a.tma").version.id == version.id
