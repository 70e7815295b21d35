"""A version that was registered twice, lost its numbers or is not the bytes that were tested cannot be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tidemill.core.errors import ModelError, NotFoundError, UsageError
from tidemill.design.requirements import Requirement
from tidemill.evaluation.promises import Measurement, gate
from tidemill.packaging.package import Package
from tidemill.registry import list_models, list_versions, load_package, register_version, resolve
from tidemill.registry.names import parse_reference
from tidemill.store import Store, audit, open_store

RANKING = Requirement("ranking", "Ranks well", "roc_auc", at_least=0.65, checked=("test",))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts"), create=True) as opened:
        yield opened


def test_a_registered_package_is_found_by_number_and_loads_as_it_was(store: Store, packaged: Package) -> None:
    version = register_version(
        store, packaged, [Measurement("test", "roc_auc", 0.71, 0.7, 0.72)], requirements=[RANKING]
    )
    assert version.version == 1
    assert version.metrics["test.roc_auc"] == 0.71
    assert version.metrics["package.latency_p99_ms"] == packaged.metrics["latency_p99_ms"]
    assert version.gate["promises"][0]["status"] == "passed"
    assert resolve(store, "flight-delay@1") == resolve(store, "flight-delay@v1") == version
    assert load_package(store, version).digest == packaged.digest
    assert list_models(store) == {"flight-delay": []}
    with store.metadata.reading() as tx:
        assert [event.action for event in audit.list_events(tx, "model:flight-delay@1")] == ["model.register"]


def test_a_comparison_or_a_slice_is_not_taken_for_the_metric(store: Store, packaged: Package) -> None:
    measured = [
        Measurement("test", "roc_auc", 0.71),
        Measurement("test", "roc_auc", 0.05, against="linear", kind="baseline"),
        Measurement("test", "roc_auc", 0.55, where="carrier", at="UA"),
    ]
    version = register_version(store, packaged, measured, requirements=[RANKING])
    assert version.metrics["test.roc_auc"] == 0.71
    assert version.gate["passed"]


def test_registering_again_gives_the_same_version_with_what_is_new(store: Store, packaged: Package) -> None:
    first = register_version(store, packaged, [Measurement("test", "roc_auc", 0.60)], requirements=[RANKING])
    assert not first.gate["passed"]
    again = register_version(
        store, packaged, [gate("test", [RANKING], Measurement("test", "roc_auc", 0.7))], requirements=[RANKING]
    )
    assert again.id == first.id
    assert again.gate["passed"]
    assert again.metrics["test.roc_auc"] == 0.7
    assert again.metrics["package.size_mb"] == first.metrics["package.size_mb"]
    assert len(list_versions(store, "flight-delay")) == 1


def test_another_name_is_another_model(store: Store, packaged: Package) -> None:
    register_version(store, packaged)
    assert register_version(store, packaged, name="delays-2").version == 1
    assert list(list_models(store)) == ["delays-2", "flight-delay"]


def test_versions_registered_at_once_are_one(store: Store, packaged: Package) -> None:
    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(lambda _: register_version(store, packaged), range(8)))
    assert {version.version for version in versions} == {1}


def test_a_name_that_is_not_there_says_what_is(store: Store, packaged: Package) -> None:
    register_version(store, packaged)
    with pytest.raises(NotFoundError, match="newest versions are 1"):
        resolve(store, "flight-delay@champion")
    with pytest.raises(NotFoundError, match="flight-delay"):
        resolve(store, "weather")


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "a/b", "x" * 200, "é"])
def test_names_that_do_not_fit_a_path_or_url_are_refused(store: Store, packaged: Package, name: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(name)
    if name:
        with pytest.raises(UsageError):
            register_version(store, packaged, name=name)


def test_a_reference_with_nothing_after_its_at_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing follows"):
        parse_reference("flight-delay@")


def test_what_is_not_a_package_cannot_be_loaded(store: Store, packaged: Package) -> None:
    version = register_version(store, packaged)
    with store.metadata.transaction() as tx:
        from tidemill.core.records import Artifact
        from tidemill.store import executions

        executions.put_artifacts(tx, [Artifact("0" * 26, "d", "json", "m", 1, 0, inline="1")])
    object.__setattr__(version, "package", "0" * 26)
    with pytest.raises(ModelError, match="not a package"):
        load_package(store, version)


def test_a_version_prints_its_name_gate_and_numbers_and_not_its_whole_record(version):
    made = version(auc=0.7, actor="ann")
    assert repr(made) == "ModelVersion('flight-delay@1', 'registered', gate without requirements)"
    lines = str(made).splitlines()
    assert lines[0].startswith("flight-delay@1: registered, registered by ann at 2")
    assert [line.split() for line in lines if "roc_auc" in line] == [["test.roc_auc", "0.7"]]
    promises = [{"name": "ranking", "moment": "test", "status": "failed"}]
    assert "gate not passed: ranking at test" in str(replace(made, gate={"passed": False, "promises": promises}))
    many = replace(made, metrics={f"m{place}": 1.0 for place in range(25)})
    assert "  and 5 more: .metrics has them" in str(many).splitlines()
