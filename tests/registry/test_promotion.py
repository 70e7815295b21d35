"""The alias `champion` is what answers customers: it moves only to what was tested, and never without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tidemill.core.errors import GateError, NotFoundError, UsageError
from tidemill.core.records import ModelVersion
from tidemill.design.requirements import Requirement
from tidemill.evaluation.promises import Measurement
from tidemill.packaging.package import Package
from tidemill.registry import promote_version, register_version, resolve, roll_back
from tidemill.store import Store, audit, open_store

REQUIREMENTS = (
    Requirement("ranking", "Ranks well", "roc_auc", at_least=0.65, checked=("evaluation", "test")),
    Requirement("response", "Is quick", "latency_p99_ms", at_most=1000.0, checked=("package", "production")),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts"), create=True) as opened:
        yield opened


def version(store: Store, packaged: Package, number: int, test: float | None = 0.7) -> ModelVersion:
    """A version of its own: another package."""
    other = Package({**packaged.manifest, "params": {"number": number}}, packaged.files)
    reports = [Measurement("evaluation", "roc_auc", 0.72)]
    reports += [] if test is None else [Measurement("test", "roc_auc", test)]
    return register_version(store, other, reports, requirements=REQUIREMENTS)


def test_what_held_every_promise_becomes_champion(store: Store, packaged: Package) -> None:
    alias = promote_version(store, version(store, packaged, 1), requirements=REQUIREMENTS, approved_by="Ada")
    assert (alias.alias, alias.version) == ("champion", 1)
    assert resolve(store, "flight-delay").version == 1
    with store.metadata.reading() as tx:
        event = audit.list_events(tx, "model:flight-delay@champion")[0]
    assert event.action == "model.promote"
    promises = event.details.pop("promises")
    assert event.details == {"to": 1, "from": None, "approved_by": "Ada"}
    assert len(promises) >= 1
    assert all("holds with" in promise for promise in promises)


@pytest.mark.parametrize(
    ("test", "message"), [(0.6, r"broken by 0\.05: measured 0\.6"), (None, "not measured: no report of test")]
)
def test_a_broken_or_unmeasured_promise_stops_it_with_the_numbers(
    store: Store, packaged: Package, test: float | None, message: str
) -> None:
    found = version(store, packaged, 1, test)
    with pytest.raises(GateError, match=message):
        promote_version(store, found, requirements=REQUIREMENTS)
    with pytest.raises(NotFoundError):
        resolve(store, "flight-delay@champion")


def test_a_requirement_that_was_tightened_since_counts(store: Store, packaged: Package) -> None:
    found = version(store, packaged, 1)
    tighter = Requirement("ranking", "", "roc_auc", at_least=0.8, checked=("test",))
    with pytest.raises(GateError, match=r"roc_auc >= 0\.8"):
        promote_version(store, found, requirements=[tighter])


def test_force_needs_a_reason_and_is_written_down(store: Store, packaged: Package) -> None:
    found = version(store, packaged, 1, 0.6)
    with pytest.raises(UsageError, match="reason"):
        promote_version(store, found, requirements=REQUIREMENTS, force=" ")
    promote_version(store, found, requirements=REQUIREMENTS, force="the old one is down")
    with store.metadata.reading() as tx:
        details = audit.list_events(tx, "model:flight-delay@champion")[0].details
    assert details["forced"] == "the old one is down"
    assert "measured 0.6" in details["broken"][0]


def test_promoting_what_is_there_changes_nothing(store: Store, packaged: Package) -> None:
    found = version(store, packaged, 1)
    first = promote_version(store, found)
    assert promote_version(store, "flight-delay@1") == first
    with store.metadata.reading() as tx:
        assert len(audit.list_events(tx, "model:flight-delay@champion")) == 1


def test_rolling_back_goes_through_the_earlier_champions_one_by_one(store: Store, packaged: Package) -> None:
    for number in (1, 2, 3):
        promote_version(store, version(store, packaged, number))
    assert [roll_back(store, "flight-delay", reason="worse").version for _ in "12"] == [2, 1]
    with pytest.raises(UsageError, match="no earlier version"):
        roll_back(store, "flight-delay")
    promote_version(store, "flight-delay@3")
    assert roll_back(store, "flight-delay").version == 1


def test_aliases_are_independent_and_may_not_look_like_numbers(store: Store, packaged: Package) -> None:
    promote_version(store, version(store, packaged, 1))
    promote_version(store, version(store, packaged, 2), "canary")
    assert resolve(store, "flight-delay@canary").version == 2
    assert resolve(store, "flight-delay").version == 1
    with pytest.raises(UsageError, match="version number"):
        promote_version(store, "flight-delay@1", "v7")
