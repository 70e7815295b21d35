"""An archive is what is left when a store is gone, and comes from strangers too: it comes back whole, or not at all."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tidemill.core.errors import (
    ConflictError,
    CorruptArtifactError,
    GateError,
    NotFoundError,
    StoreVersionError,
    TidemillError,
    UnsafeModelError,
    UsageError,
)
from tidemill.core.records import ModelVersion
from tidemill.design import requirements_of
from tidemill.evaluation import Examination
from tidemill.project import Project, open_project_store
from tidemill.registry import list_versions, load_package, promote_version, resolve
from tidemill.registry.approval import approvals_of, approve_version
from tidemill.registry.archiving import archive_version
from tidemill.registry.cards import model_card
from tidemill.registry.history import model_history
from tidemill.registry.origins import origins_of
from tidemill.registry.restoring import restore_version
from tidemill.registry.rules import rules_of
from tidemill.serving.loading import load
from tidemill.store import Store, lineage, models, open_store, outbox, transfer
from tidemill.tracking import trace

Members = dict[str, bytes]
Change = Callable[[Members], None]


@pytest.fixture(scope="module")
def archived(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`late@1` with all its data."""
    file: Path = tmp_path_factory.mktemp("archive") / "late.tma"
    archive_version(open_project_store(trained), "late@1", file)
    return file


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/other.db", artifacts=str(tmp_path / "other")) as opened:
        yield opened


def members_of(file: Path) -> Members:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sealed(members: Mapping[str, bytes], **head: Any) -> Members:
    """The members with a head that lists them as they are."""
    told = json.loads(members["archive.json"]) | head
    told["members"] = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in members.items()
        if name != "archive.json"
    }
    return {**members, "archive.json": json.dumps(told).encode()}


def write(file: Path, members: Mapping[str, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, kind)
    return file


def is_empty(store: Store) -> bool:
    with store.metadata.reading() as tx:
        return list_versions(store) == [] and not list(lineage.referenced_blobs(tx))


def test_the_same_version_gives_the_same_bytes(trained: Project, archived: Path, tmp_path: Path) -> None:
    again = archive_version(open_project_store(trained), "late@1", tmp_path / "again.tma")
    assert (tmp_path / "again.tma").read_bytes() == archived.read_bytes()
    assert again.left_out == 0
    with pytest.raises(UsageError, match="there is a file already"):
        archive_version(open_project_store(trained), "late@1", tmp_path / "again.tma")
    with pytest.raises(NotFoundError):
        archive_version(open_project_store(trained), "late@9", tmp_path / "none.tma")
    assert [path.name for path in tmp_path.iterdir()] == ["again.tma"]


def test_a_restored_version_serves_traces_and_is_described_as_before(
    trained: Project, archived: Path, other: Store
) -> None:
    here = open_project_store(trained)
    made = restore_version(other, archived, actor="carl").version
    before, after = resolve(here, "late@1"), resolve(other, "late@1")
    assert after == made
    assert (after.metrics, after.gate, after.tags, after.run_id) == (
        before.metrics, before.gate, before.tags, before.run_id,
    )  # fmt: skip
    assert after.registered_by == "carl"
    assert load_package(other, after).members() == load_package(here, before).members()
    row = load_package(here, before).manifest["example"]
    assert load("late@1", store=other).predict([row]) == load("late@1", store=here).predict([row])
    lines = [[node.id for node in trace(before.id, store=store).walk()] for store in (here, other)]
    assert lines[0] == lines[1]
    assert origins_of(other, after).tables == origins_of(here, before).tables
    assert origins_of(other, after).last(Examination) == origins_of(here, before).last(Examination)
    titles = ("Data", "Metrics", "Baselines", "Slices", "Limitations", "Package", "Gate")
    cards = [model_card("late@1", store=store, canvas={}) for store in (here, other)]
    for title in titles:
        sections = [next(one for one in card.sections if one.title == title) for card in cards]
        assert sections[0] == sections[1]
    (event,) = model_history(other, "late")
    assert event.actor == "carl"
    assert "model.register" in {one["action"] for one in event.details["history"]}


def test_restoring_again_changes_nothing(archived: Path, other: Store) -> None:
    hook = rules_of({"webhooks": {"ops": {"url": "http://127.0.0.1:1/"}}}).webhooks
    first = restore_version(other, archived, subscribers=hook)
    again = restore_version(other, archived, subscribers=hook)
    assert again.version == first.version
    assert (again.rows, again.blobs) == (0, 0)
    assert len(model_history(other, "late")) == 1
    with other.metadata.reading() as tx:
        assert [one.event for one in outbox.list_deliveries(tx)] == ["version.restored"]


def test_restoring_where_it_came_from_finds_it_there(trained: Project, archived: Path) -> None:
    store = open_project_store(trained)
    before = resolve(store, "late@1")
    assert restore_version(store, archived).version == before


def test_a_number_that_is_taken_is_refused_or_given_anew(
    trained: Project, archived: Path, other: Store, tmp_path: Path
) -> None:
    archive_version(open_project_store(trained), "late@3", tmp_path / "third.tma")
    restore_version(other, tmp_path / "third.tma", name="early")
    renamed = restore_version(other, archived, name="early").version
    assert (renamed.model, renamed.version) == ("early", 1)
    assert restore_version(other, archived, name="early").version.id == renamed.id
    with other.metadata.transaction() as tx:
        models.insert_version(tx, ModelVersion("x" * 26, "mine", 0, 1, None, None, renamed.package))
    with pytest.raises(ConflictError, match=r"another version 1 of 'mine'.*--as NAME.*--next"):
        restore_version(other, archived, name="mine")
    assert restore_version(other, archived, name="mine", next_number=True).version.version == 2
    assert restore_version(other, archived, name="mine", next_number=True).version.version == 2


def test_what_was_agreed_or_cached_elsewhere_counts_for_nothing_here(
    trained: Project, other: Store, tmp_path: Path
) -> None:
    here = open_project_store(trained)
    approve_version(here, "late@2", actor="bob")
    archive_version(here, "late@2", tmp_path / "second.tma")
    made = restore_version(other, tmp_path / "second.tma", actor="ann").version
    assert [(one.actor, stands) for one, stands in approvals_of(other, made)] == [("bob", False)]
    with pytest.raises(GateError, match="counts 0"):
        promote_version(other, made, rules=rules_of({"approvals": 1}), actor="carl")
    with pytest.raises(GateError, match="ranking"):
        promote_version(other, made, requirements=requirements_of(trained.requirements))
    with other.metadata.reading() as tx:
        assert {row["key"] for row in transfer.gather(tx, made)["executions"]} == {""}


def test_without_data_it_serves_and_says_what_is_left_out(trained: Project, other: Store, tmp_path: Path) -> None:
    whole = archive_version(open_project_store(trained), "late@1", tmp_path / "whole.tma")
    slim = archive_version(open_project_store(trained), "late@1", tmp_path / "slim.tma", data=False)
    assert slim.left_out > 0
    assert slim.bytes < whole.bytes
    made = restore_version(other, tmp_path / "slim.tma").version
    assert load("late@1", store=other).predict([load_package(other, made).manifest["example"]])
    table = origins_of(other, made).tables[0]
    with other.metadata.reading() as tx:
        artifact = lineage.get_artifact(tx, table.digest)
    assert artifact.blob is None
    assert len(artifact.metadata["left_out"]) == 64


def _flip(name: str, place: int = -20) -> Change:
    def change(members: Members) -> None:
        found = next(one for one in members if one.startswith(name))
        data = bytearray(members[found])
        data[place] ^= 1
        members[found] = bytes(data)

    return change


def _drop(name: str) -> Change:
    return lambda members: (members.pop(next(one for one in members if one.startswith(name))), None)[1]


def _add(name: str) -> Change:
    return lambda members: members.update({name: b"x"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_flip("blobs/"), r"digest of blobs/.* is not the one"),
        (_flip("records.ndjson"), "digest of records.ndjson"),
        (_drop("blobs/"), "lacks a member.*blobs/"),
        (_drop("records.ndjson"), "lacks a member.*records.ndjson"),
        (_drop("archive.json"), "lacks a member.*archive.json"),
        (_add("blobs/" + "0" * 64), "does not list.*blobs/0000"),
        (_add("../evil"), "name that no archive has.*evil"),
        (_add("/etc/cron.d/evil"), "name that no archive has"),
        (_add("blobs/../../evil"), "name that no archive has"),
        (lambda members: members.update({"archive.json": b"[]"}), "is no archive of a model"),
        (lambda members: members.update({"archive.json": b'{"format": NaN}'}), "NaN is no JSON number"),
        (lambda members: members.update({"archive.json": b"[" * 100_000}), "not JSON"),
    ],
)
def test_a_file_that_was_changed_is_refused_and_says_where(
    archived: Path, other: Store, tmp_path: Path, change: Change, message: str
) -> None:
    members = members_of(archived)
    change(members)
    with pytest.raises(UnsafeModelError, match=message):
        restore_version(other, write(tmp_path / "bad.tma", members))
    assert is_empty(other)


def edited(members: Members, table: str, edit: Callable[[dict[str, Any]], None], **head: Any) -> Members:
    """The members with the first row of a table changed, and sealed again by somebody who knows how."""
    lines = [json.loads(line) for line in members["records.ndjson"].splitlines()]
    edit(next(row for name, row in lines if name == table))
    return sealed({**members, "records.ndjson": b"\n".join(json.dumps(line).encode() for line in lines)}, **head)


@pytest.mark.parametrize(
    ("table", "edit", "message"),
    [
        ("runs", lambda row: row.pop("host"), r"lacks a column: 'runs\.host'"),
        ("runs", lambda row: row.update(evil=1), r"nobody knows: 'runs\.evil'"),
        ("runs", lambda row: row.update(host=1), r"another kind in runs\.host"),
        ("runs", lambda row: row.update(started_at=10**30), "number that no database holds"),
        ("runs", lambda row: row.update(host="\0"), "text that no database holds"),
        ("runs", lambda row: row.update(host="\ud800"), "text that no database holds"),
        ("runs", lambda row: row.update(arguments="[1]"), r"no mapping in runs\.arguments"),
        ("runs", lambda row: row.update(arguments="{"), "not JSON"),
        ("runs", lambda row: row.update(id="x" * 1000), "an id that cannot be"),
        ("artifacts", lambda row: row.update(blob="f" * 64), "lacks a blob that a row refers to"),
        ("artifacts", lambda row: row.update(inline='{"$": "record", "c": "os:system", "v": {}}', blob=None,
                                             materialiser="tidemill.engine.materialisers.plain:PlainMaterialiser"),
         "class that is not Tidemill's: 'os:system'"),
        ("model_versions", lambda row: row.update(version=0), "tells of another version"),
        ("model_versions", lambda row: row.update(model="../x"), "tells of another version"),
        ("model_versions", lambda row: row.update(package="nobody"), "lacks the package"),
        ("model_versions", lambda row: row.update(gate='{"measurements": [{"moment": "test"}]}'), "cannot be read"),
        ("model_versions", lambda row: row.update(gate='{"measurements": [7]}'), "cannot be read"),
        ("model_versions", lambda row: row.update(metrics='{"a": "b"}'), "no numbers"),
        ("model_versions", lambda row: row.update(tags='{"a": 1}'), "cannot be read"),
        ("model_versions", lambda row: row.update(run_id="nobody"), "not in the store"),
        ("events", lambda row: row.update(artifact_id="nobody"), "not in the store"),
    ],
)  # fmt: skip
def test_rows_that_no_store_has_written_are_refused(
    archived: Path, other: Store, tmp_path: Path, table: str, edit: Callable[[dict[str, Any]], None], message: str
) -> None:
    members = edited(members_of(archived), table, edit)
    with pytest.raises(TidemillError, match=message):
        restore_version(other, write(tmp_path / "bad.tma", members))
    assert is_empty(other)


def test_a_whole_file_that_was_replaced_is_known_by_its_digest(
    trained: Project, archived: Path, other: Store, tmp_path: Path
) -> None:
    digest = archive_version(open_project_store(trained), "late@1", tmp_path / "again.tma").digest
    forged = write(tmp_path / "forged.tma", edited(members_of(archived), "runs", lambda row: row.update(host="evil")))
    with pytest.raises(UnsafeModelError, match="another archive than was asked for"):
        restore_version(other, forged, digest=digest)
    assert restore_version(other, archived, digest=digest.upper()).digest == digest


def test_bombs_links_and_doubles_are_refused(archived: Path, other: Store, tmp_path: Path) -> None:
    members = members_of(archived)
    bomb = write(tmp_path / "bomb.tma", {**members, "records.ndjson": b"\0" * 50_000_000}, zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsafeModelError, match="is compressed"):
        restore_version(other, bomb)
    with zipfile.ZipFile(tmp_path / "link.tma", "w") as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = (stat.S_IFLNK if name.startswith("blobs/") else stat.S_IFREG) << 16
            archive.writestr(entry, data)
    with pytest.raises(UnsafeModelError, match="is a link"):
        restore_version(other, tmp_path / "link.tma")
    write(tmp_path / "twice.tma", members)
    with zipfile.ZipFile(tmp_path / "twice.tma", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(zipfile.ZipInfo("archive.json", (1980, 1, 1, 0, 0, 0)), members["archive.json"])
    with pytest.raises(UnsafeModelError, match="is there twice"):
        restore_version(other, tmp_path / "twice.tma")
    (tmp_path / "text.tma").write_text("no zip")
    with pytest.raises(UnsafeModelError, match="not an archive"):
        restore_version(other, tmp_path / "text.tma")
    (tmp_path / "cut.tma").write_bytes(archived.read_bytes()[:-200])
    with pytest.raises(UnsafeModelError, match=r"cut\.tma"):
        restore_version(other, tmp_path / "cut.tma")
    with pytest.raises(NotFoundError):
        restore_version(other, tmp_path / "none.tma")
    assert is_empty(other)


def test_a_package_that_is_not_the_one_that_was_registered_is_refused(
    archived: Path, other: Store, tmp_path: Path
) -> None:
    members = edited(members_of(archived), "model_versions", lambda row: None, package="0" * 64)
    with pytest.raises(UnsafeModelError, match="another version"):
        restore_version(other, write(tmp_path / "bad.tma", members))

    def lie(row: dict[str, Any]) -> None:
        row["digest"] = "0" * 64

    lines = [json.loads(line) for line in members["records.ndjson"].splitlines()]
    package = next(row["package"] for name, row in lines if name == "model_versions")
    lie(next(row for name, row in lines if name == "artifacts" and row["id"] == package))
    told = b"\n".join(json.dumps(line).encode() for line in lines)
    forged = sealed({**members, "records.ndjson": told}, package="0" * 64)
    with pytest.raises(UnsafeModelError, match="not the one that was registered"):
        restore_version(other, write(tmp_path / "worse.tma", forged))
    assert is_empty(other)


def test_a_newer_archive_is_refused_and_an_older_one_gets_what_it_lacks(
    archived: Path, other: Store, tmp_path: Path
) -> None:
    members = members_of(archived)
    with pytest.raises(StoreVersionError, match="schema version 99"):
        restore_version(other, write(tmp_path / "newer.tma", sealed(members, schema=99)))
    with pytest.raises(UnsafeModelError, match="format that this Tidemill does not read"):
        restore_version(other, write(tmp_path / "format.tma", sealed(members, version=2)))

    def forget(row: dict[str, Any]) -> None:
        del row["owner"], row["registered_by"]

    older = edited(members, "model_versions", forget, schema=2)
    assert restore_version(other, write(tmp_path / "older.tma", older)).version.owner == ""


def test_what_fails_in_the_middle_leaves_nothing(archived: Path, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("tidemill.registry.restoring.happened", lambda *_, **__: (_ for _ in ()).throw(OSError("gone")))
        with pytest.raises(OSError, match="gone"):
            restore_version(other, archived)
    assert is_empty(other)
    assert restore_version(other, archived).rows > 0


def test_a_damaged_blob_of_the_store_is_healed_by_a_restore(archived: Path, other: Store) -> None:
    made = restore_version(other, archived).version
    with other.metadata.reading() as tx:
        blob = lineage.get_artifact(tx, made.package).blob
    assert blob is not None
    file = other.artifacts.path(blob)
    file.chmod(0o644)
    file.write_bytes(b"damaged")
    with pytest.raises(CorruptArtifactError):
        load_package(other, made)
    restore_version(other, archived)
    assert load_package(other, made).name == "late"


def test_a_full_disk_is_told_with_what_the_archive_takes(trained: Project, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(trained.root), str(tmp_path / "late.tma")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.startswith("the disk or its quota is full: the archive of late@1 takes "), done.stderr
    assert "MiB are free" in done.stdout
    assert "--without-data" in done.stdout
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, sys
from pathlib import Path
from tidemill.core.errors import OutOfSpaceError
from tidemill.project import load_project, open_project_store
from tidemill.registry.archiving import archive_version
store = open_project_store(load_project(Path(sys.argv[1])))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # a quota, without being root
try:
    archive_version(store, "late@1", Path(sys.argv[2]))
except OutOfSpaceError as error:
    print(error)
"""
