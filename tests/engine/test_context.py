"""Without these a metric logged by a step, or by its threads, would be lost or land in another step."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tidemill.core.errors import UsageError
from tidemill.engine.context import StepContext, current, record, use_context


def context(node: str = "fit") -> StepContext:
    return StepContext("run", "execution", node, node, 1, "flights", "train")


def test_recording_outside_a_step_is_refused():
    assert current() is None
    with pytest.raises(UsageError, match="outside a step"):
        record("note", 1)


def test_threads_that_a_step_starts_belong_to_it():
    with use_context(context()) as step, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda n: record("note", n), range(10))) == [None] * 10
    assert sorted(payload for _, payload in step.logged) == list(range(10))


def test_steps_side_by_side_keep_apart():
    barrier = threading.Barrier(4, timeout=60)

    def run(name: str) -> list[tuple[str, object]]:
        with use_context(context(name)) as step:
            barrier.wait()
            inner = threading.Thread(target=lambda: record("name", current().node))
            inner.start()
            inner.join()
        return step.logged

    names = ["a", "b", "c", "d"]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, names)) == [[("name", name)] for name in names]


def test_a_thread_that_outlives_its_step_is_told_so():
    go_on, caught = threading.Event(), []

    def late() -> None:
        go_on.wait(60)
        try:
            record("note", 1)
        except UsageError as error:
            caught.append(str(error))

    with use_context(context()) as step:
        thread = threading.Thread(target=late)
        thread.start()
    go_on.set()
    thread.join()
    assert step.logged == []
    assert "has finished" in caught[0]


def test_threads_outside_a_step_are_untouched():
    original = threading.Thread.start
    with use_context(context()):
        assert threading.Thread.start is not original
        with use_context(context("inner")):
            assert current().node == "inner"
        assert current().node == "fit"
    assert threading.Thread.start is original
