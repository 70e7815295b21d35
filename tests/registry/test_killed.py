"""A promotion, an archive and a restore that are killed have happened whole or not at all, and can be repeated."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tidemill.core.records import ModelVersion
from tidemill.project import Project, open_project_store
from tidemill.registry import list_versions, load_package, resolve
from tidemill.registry.archiving import archive_version
from tidemill.registry.restoring import restore_version
from tidemill.store import Store, audit, open_store, outbox

pytestmark = pytest.mark.slow

#: Runs a verb, and ends its own process at a line of Tidemill that it is told; without one it says how many there are.
PROGRAM = """
import os, signal, sys
from pathlib import Path
from tidemill.registry.archiving import archive_version
from tidemill.registry.promotion import promote_version
from tidemill.registry.restoring import restore_version
from tidemill.registry.rules import Rules, Webhook
from tidemill.store import open_store

verb, database, artifacts, file, at = sys.argv[1:]
lines = 0


def line(frame, event, given):
    global lines
    if event == "line":
        lines += 1
        if lines == int(at):
            os.kill(os.getpid(), signal.SIGKILL)
    return line


def call(frame, event, given):
    return line if "/tidemill/" in frame.f_code.co_filename else None


with open_store(database, artifacts) as store:
    hooks = Rules(webhooks=(Webhook("ops", "http://127.0.0.1:1/"),))
    sys.settrace(call)
    if verb == "promote":
        promote_version(store, file, rules=hooks)
    elif verb == "archive":
        archive_version(store, "late@1", Path(file))
    else:
        restore_version(store, Path(file))
    sys.settrace(None)
print(lines)
"""


def carried_out(verb: str, database: str, artifacts: Path | str, file: Path | str, at: int = 0) -> int:
    """How many lines the verb took; or it is killed at one of them."""
    command = [sys.executable, "-c", PROGRAM, verb, database, str(artifacts), str(file), str(at)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == (-9 if at else 0), done.stderr
    return 0 if at else int(done.stdout)


def places(lines: int, count: int) -> list[int]:
    """Where to kill: anywhere, and shortly before the end."""
    draw = random.Random()
    return sorted({*(draw.randrange(1, lines - 10) for _ in range(count)), lines - 10})


def whole(store: Store) -> tuple[int, int]:
    """Where the alias is, and how often it was moved; each move is in the audit and in the outbox."""
    with store.metadata.reading() as tx:
        events = audit.list_events(tx, "model:flight-delay@champion", limit=1000)
        told = outbox.list_deliveries(tx, limit=1000)
    assert {one.event_id for one in told} == {event.id for event in events}
    at = resolve(store, "flight-delay@champion").version
    assert at == events[0].details["to"]
    return at, len(events)


def test_a_promotion_that_is_killed_has_moved_all_or_nothing(
    store: Store, version: Callable[..., ModelVersion], tmp_path: Path
) -> None:
    version(), version()
    database, artifacts = f"sqlite:///{tmp_path}/store.db", tmp_path / "artifacts"
    carried_out("promote", database, artifacts, "flight-delay@1")
    lines = carried_out("promote", database, artifacts, "flight-delay@2")
    target = 1
    for place in places(lines, 4):
        before = whole(store)
        carried_out("promote", database, artifacts, f"flight-delay@{target}", place)
        after = whole(store)
        assert after in (before, (target, before[1] + 1)), f"killed at line {place}"
        carried_out("promote", database, artifacts, f"flight-delay@{target}")
        assert whole(store)[0] == target
        target = 3 - target


def test_an_archive_that_is_killed_is_no_file_and_can_be_made_again(trained: Project, tmp_path: Path) -> None:
    store = open_project_store(trained)
    expected = archive_version(store, "late@1", tmp_path / "expected.tma")
    database, artifacts = f"sqlite:///{trained.root}/.tidemill/store.db", trained.root / ".tidemill/artifacts"
    lines = carried_out("archive", database, artifacts, tmp_path / "first.tma")
    for place in places(lines, 4):
        file = tmp_path / f"{place}.tma"
        carried_out("archive", database, artifacts, file, place)
        if not file.exists():
            archive_version(store, "late@1", file)
        assert file.read_bytes() == expected.path.read_bytes(), f"killed at line {place}"
        assert not list(tmp_path.glob(f".{file.name}*")), f"killed at line {place}, it left a part"


def test_a_restore_that_is_killed_shows_no_version_and_can_be_repeated(trained: Project, tmp_path: Path) -> None:
    file = archive_version(open_project_store(trained), "late@1", tmp_path / "late.tma").path

    def fresh(name: str) -> tuple[str, Path]:
        database = f"sqlite:///{tmp_path}/{name}.db"
        open_store(database, str(tmp_path / name), create=True).close()
        return database, tmp_path / name

    lines = carried_out("restore", *fresh("first"), file)
    for place in places(lines, 4):
        database, artifacts = fresh(f"at{place}")
        carried_out("restore", database, artifacts, file, place)
        with open_store(database, str(artifacts)) as store:
            there = list_versions(store, "late")
            for one in there:
                load_package(store, one)
            again = restore_version(store, file)
            assert (again.rows == 0) == bool(there), f"killed at line {place}"
            load_package(store, again.version)  # it looks at every digest
            assert restore_version(store, file).rows == 0
