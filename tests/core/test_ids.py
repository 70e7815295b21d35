"""Identifiers order runs and page through listings: a repeat or a step back loses records."""

from __future__ import annotations

import os
import threading
import time

from tidemill.core.ids import new_id


def test_ids_of_one_process_increase_and_never_repeat():
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {len(identifier) for identifier in made} == {26}


def test_ids_of_threads_do_not_repeat():
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend([new_id() for _ in range(2_000)])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 16_000


def test_ids_increase_while_the_clock_stands_still_or_is_set_back(monkeypatch):
    before = new_id()
    monkeypatch.setattr("tidemill.core.ids.random.getrandbits", lambda bits: (1 << bits) - 1)
    monkeypatch.setattr("tidemill.core.ids.time.time_ns", lambda: 0)
    made = [before, *(new_id() for _ in range(70_000))]  # more than one millisecond has room for
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_the_time_is_readable_from_the_first_ten_characters():
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    millis = 0
    for character in new_id()[:10]:
        millis = millis << 5 | alphabet.index(character)
    assert abs(millis / 1000 - time.time()) < 5


def test_a_forked_child_makes_other_ids():
    new_id()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, new_id().encode())
        os._exit(0)
    mine = new_id()
    os.waitpid(child, 0)
    theirs = os.read(reader, 26).decode()
    os.close(reader)
    os.close(writer)
    assert theirs != mine
    assert len(theirs) == 26
