"""A promotion that is killed, or meets another one, has happened whole or not at all: alias, audit and outbox agree."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from webhook_receiver import until

from tidemill.core.records import ModelVersion
from tidemill.registry import promote_version, resolve
from tidemill.registry.history import model_history
from tidemill.registry.rules import Rules, Webhook
from tidemill.store import Store, audit, outbox

Make = Callable[..., ModelVersion]
HOOK = Webhook("ops", "http://127.0.0.1:1/")
PROMOTER = """
import sys
from tidemill.registry.promotion import promote_version
from tidemill.registry.rules import Rules, Webhook
from tidemill.store import open_store
folder, start = sys.argv[1], int(sys.argv[2])
store = open_store(f"sqlite:///{folder}/store.db", f"{folder}/artifacts")
rules = Rules(webhooks=(Webhook("ops", "http://127.0.0.1:1/"),))
print("ready", flush=True)
while True:
    start += 1
    promote_version(store, f"flight-delay@{1 + start % 2}", rules=rules)
"""


def moves(store: Store) -> list[tuple[int | None, int]]:
    """From and to of every promotion, oldest first."""
    with store.metadata.reading() as tx:
        events = audit.list_events(tx, "model:flight-delay@champion", limit=100_000)
    return [(event.details["from"], event.details["to"]) for event in reversed(events)]


def check(store: Store) -> int:
    """Every move starts where the last one ended, the alias is where the last one ended, and each is in the outbox."""
    found = moves(store)
    ends = [None, *(to for _, to in found)]
    assert [start for start, _ in found] == ends[:-1]
    if found:
        assert resolve(store, "flight-delay@champion").version == ends[-1]
    with store.metadata.reading() as tx:
        told = outbox.list_deliveries(tx, limit=100_000)
        events = audit.list_events(tx, "model:flight-delay@champion", limit=100_000)
    assert {one.event_id for one in told} == {event.id for event in events}
    return len(found)


@pytest.mark.slow
def test_two_promoters_that_are_killed_leave_no_half_move(store: Store, version: Make, tmp_path: Path) -> None:
    version(), version()
    draw = random.Random(7)
    done = 0
    for _ in range(4):
        promoters = [
            subprocess.Popen([sys.executable, "-c", PROMOTER, str(tmp_path), str(i)], stdout=subprocess.PIPE)
            for i in range(2)
        ]
        for promoter in promoters:
            assert promoter.stdout is not None
            assert promoter.stdout.readline() == b"ready\n"
        more = done + draw.randint(1, 20)
        until(lambda more=more: len(moves(store)) >= more)
        for promoter in promoters:
            os.kill(promoter.pid, signal.SIGKILL)
            promoter.wait()
            promoter.stdout.close()
        done = check(store)
    assert done


def test_what_fails_in_the_middle_of_a_move_undoes_it(
    store: Store, version: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    version(), version()
    asked = Rules(webhooks=(HOOK,))
    promote_version(store, "flight-delay@1", rules=asked)
    monkeypatch.setattr(outbox, "put", lambda *_: (_ for _ in ()).throw(OSError("the disk is gone")))
    with pytest.raises(OSError, match="disk is gone"):
        promote_version(store, "flight-delay@2", rules=asked)
    assert check(store) == 1
    assert len(model_history(store, "flight-delay")) == 3
