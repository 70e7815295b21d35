"""Without these, steps in one process would mix their logs, lose their context or ignore their limits."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from tidemill.core import clock
from tidemill.core.errors import PipelineError
from tidemill.engine.executors import InlineExecutor

PATIENCE = 60


@pytest.fixture
def inline():
    executor = InlineExecutor(4)
    yield executor
    executor.close()


def test_the_same_step_gives_the_same_result_directly_and_submitted(inline, artifacts, task, steps):
    sent = task(steps.add, int, a=1, b=2)
    direct, submitted = inline.run(sent, artifacts), inline.submit(sent, artifacts).result(PATIENCE)
    assert direct.outputs == submitted.outputs
    assert direct.outputs[0][0] == "output"
    assert direct.outputs[0][1].inline == "3"


@pytest.mark.parametrize("limit", [{"timeout_": 1.0}, {"memory_": 2**30}, {"cpu_": 1}, {"gpu_": 1}])
def test_limits_that_a_thread_cannot_honour_are_refused(inline, artifacts, task, steps, limit):
    name = next(iter(limit))[:-1]
    with pytest.raises(PipelineError, match=f"{name}=.*executor='worker'"):
        inline.submit(task(steps.nothing, **limit), artifacts)
    with pytest.raises(PipelineError, match=name):
        inline.run(task(steps.nothing, **limit), artifacts)


def test_logs_of_steps_side_by_side_do_not_mix_even_from_their_own_threads(inline, artifacts, task, steps):
    words = [f"word{n}" for n in range(8)]
    futures = [inline.submit(task(steps.print_in_threads, word=word, times=200), artifacts) for word in words]
    for word, future in zip(words, futures, strict=True):
        assert future.result(PATIENCE).log.split() == [word] * 400


def test_the_clock_of_the_caller_is_the_clock_of_the_step(inline, artifacts, task):
    start = datetime(2013, 1, 1, tzinfo=UTC)
    with clock.use_clock(clock.VirtualClock(start)):
        future = inline.submit(task(clock.now, datetime), artifacts)
    assert "2013-01-01" in future.result(PATIENCE).outputs[0][1].inline


def test_a_waiting_step_can_be_cancelled_and_a_running_one_finishes(artifacts, task):
    executor = InlineExecutor(1)
    started, go_on = threading.Event(), threading.Event()

    def hold() -> int:
        started.set()
        go_on.wait(PATIENCE)
        return 1

    running, waiting = task(hold, int), task(lambda: 2, int)
    first, second = executor.submit(running, artifacts), executor.submit(waiting, artifacts)
    assert started.wait(PATIENCE)
    executor.cancel(running.execution_id)
    executor.cancel(waiting.execution_id)
    assert second.result(PATIENCE).status == "cancelled"
    go_on.set()
    assert first.result(PATIENCE).status == "succeeded"
    executor.close()


def test_an_interrupt_reaches_whoever_waits(inline, artifacts, task):
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inline.run(task(interrupted), artifacts)
    with pytest.raises(KeyboardInterrupt):
        inline.submit(task(interrupted), artifacts).result(PATIENCE)


def test_lines_are_reported_as_they_are_printed_and_go_to_the_terminal_if_asked(artifacts, task, steps, capsys):
    lines = []

    def on_line(sent, line):
        print("shown:", line)  # a display may print: to the terminal, not into the step's log
        lines.append((sent.node, line))

    executor = InlineExecutor(1, on_line=on_line, tee=True)
    result = executor.run(task(steps.print_in_threads, word="hi", times=1), artifacts)
    assert lines == [("print_in_threads", "hi")] * 2
    assert result.log == "hi\nhi\n"
    shown = capsys.readouterr().out
    assert shown.count("shown: hi\n") == 2
    assert shown.replace("shown: hi\n", "") == "hi\nhi\n"
    executor.close()
