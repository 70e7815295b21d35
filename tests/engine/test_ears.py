"""What steps print reaches whoever watches the run while they go on, from wherever they run."""

from __future__ import annotations

import sys
import threading

import pytest

from tidemill.engine import pipeline, step
from tidemill.engine.ears import MOST
from tidemill.engine.logs import StepLog
from tidemill.store import executions

HEARD = threading.Event()


def talks(number: int) -> int:
    print(f"first {number}")
    print("unfinished", end="")
    return number


in_worker = step(executor="worker")(talks)


@step
def waits_to_be_heard(number: int) -> int:
    print(f"epoch {number}")
    assert HEARD.wait(20), "the line was told only after the step"
    HEARD.clear()
    return number


def listen(events):
    def on_event(event):
        if event.kind == "log":
            events.append((event.node, event.message))
            HEARD.set()

    return on_event


@pytest.mark.parametrize("count", [1, 2])
def test_a_line_is_told_while_the_step_goes_on(run_in, count):
    """Of a training that takes an hour nobody could say whether it is still learning."""
    HEARD.clear()

    @pipeline
    def flow() -> list[int]:
        return [waits_to_be_heard(number) for number in range(count)]

    heard: list[tuple[str, str]] = []
    assert run_in(flow, listeners=[listen(heard)], threads=1)() == list(range(count))
    assert sorted(message for _, message in heard) == [f"epoch {number}" for number in range(count)]


def test_lines_of_a_worker_are_told_once_and_kept(run_in, store):
    @pipeline
    def flow() -> list[int]:
        return [in_worker(number) for number in range(2)]

    heard: list[tuple[str, str]] = []
    result = run_in(flow, listeners=[listen(heard)]).run()
    assert result.status == "succeeded"
    for number, node in enumerate(("talks", "talks#2")):
        lines = [line for name, message in heard if name == node for line in message.splitlines()]
        assert lines == [f"first {number}", "unfinished"]
        with store.metadata.reading() as tx:
            kept = executions.get(tx, result.step(node).execution_id).log_text
        assert kept == f"first {number}\nunfinished"


def test_a_flood_of_lines_is_cut_and_holds_nobody_up(run_in):
    """A step in a debug mode would fill the memory of the run with events that nobody can read."""
    lines = 20 * MOST
    released = threading.Event()

    @step
    def holds() -> int:
        assert released.wait(20)
        return 1

    @step
    def floods_then_releases() -> int:
        for number in range(lines):
            print(number)
        released.set()
        return lines

    @pipeline
    def flow() -> list[int]:
        return [holds(), floods_then_releases()]

    heard: list[tuple[str, str]] = []
    busy = threading.Event()

    def slow(event):
        listen(heard)(event)
        if event.kind == "log" and not busy.is_set():  # a listener that takes its time, once
            busy.set()
            released.wait(20)

    assert run_in(flow, listeners=[slow], threads=2)() == [1, lines]
    told = [line for _, message in heard for line in message.splitlines()]
    assert len(told) < lines
    assert told[-1] == str(lines - 1)
    assert any("lines dropped" in line for line in told)


def test_a_progress_bar_is_shown_as_on_a_terminal():
    lines: list[str] = []
    log = StepLog(on_line=lines.append)
    for percent in range(20_000):
        log.write(f"\r{percent / 200:.2f} % of the work")
    log.write("\rdone\r\nnext\n")
    log.close()
    assert lines == ["done", "next"]
    assert sys.getsizeof(log._partial) < 100  # what a step prints without an end must not pile up
