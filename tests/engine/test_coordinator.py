"""How a run goes: what runs beside what, what a failure stops, what is tried again, and what is told."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path

import polars as pl
import pytest

from tidemill.core.errors import OutOfSpaceError, StepError, StepTimeoutError, StoreError
from tidemill.engine import LeaseSettings, pipeline, record, step
from tidemill.engine import cancel as cancel_run
from tidemill.store import executions, lineage, open_store, runs, values


@step
def number(value: int) -> int:
    return value


@step
def fails(value: int) -> int:
    print("about to fail")
    raise ValueError(f"no {value}")


@step
def add(left: int, right: int) -> int:
    return left + right


@step
def picky(value: int) -> int:
    if value == 2:
        raise ValueError("two is refused")
    return value * 10


@step(executor="worker")
def in_worker(frame: pl.DataFrame) -> int:
    return frame.height


@step(timeout=0.5)
def hangs() -> int:
    threading.Event().wait(30)
    return 1


def statuses(result):
    return {summary.node: summary.status for summary in result.steps}


def test_independent_steps_run_at_the_same_time(run_in):
    meeting = threading.Barrier(2, timeout=20)

    @step(cache=False)
    def meets(name: str) -> str:
        meeting.wait()
        return name

    @pipeline
    def both() -> list[str]:
        return [meets("a"), meets("b")]

    assert run_in(both)() == ["a", "b"]


def test_the_same_work_is_done_once_in_a_run(run_in):
    calls = []

    @step
    def counted(value: int, log: int = 0) -> int:
        calls.append(value)
        return value

    @pipeline
    def same() -> list[int]:
        return [counted(1), counted(1), counted(1)]

    result = run_in(same).run()
    assert result.result == [1, 1, 1]
    assert calls == [1]
    assert result.count("cached") == 2


def test_a_failure_stops_only_what_depends_on_it(run_in, store):
    @pipeline
    def branches() -> int:
        bad = fails(1)
        add(bad, 1)
        add(add(bad, 2), 3)
        return add(number(1), number(2))

    result = run_in(branches).run()
    assert result.status == "failed"
    assert statuses(result) == {
        "fails": "failed",
        "add": "skipped",
        "add#2": "skipped",
        "add#3": "skipped",
        "number": "succeeded",
        "number#2": "succeeded",
        "add#4": "succeeded",
    }
    with store.metadata.reading() as tx:
        kept = {execution.node: execution for execution in executions.of_run(tx, result.id)}
    assert kept["add"].status == "skipped"
    assert "step 'fails' failed" in kept["add"].error
    assert "ValueError: no 1" in kept["fails"].error


def test_the_error_says_which_step_which_inputs_and_how_the_log_ended(run_in):
    @step
    def frame() -> pl.DataFrame:
        return pl.DataFrame({"a": [1, 2]})

    @step
    def broken(table: pl.DataFrame) -> int:
        for line in range(20):
            print(f"line {line}")
        raise KeyError("b")

    @pipeline
    def looks() -> int:
        return broken(frame())

    with pytest.raises(StepError) as caught:
        run_in(looks)()
    message = str(caught.value)
    assert "step 'broken' failed: KeyError: 'b'" in message
    assert "table = table " in message
    assert "2 rows" in message
    assert "line 19" in message
    assert "line 5" not in message
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_failed_item_of_a_map_stops_only_what_depends_on_it(run_in):
    @pipeline
    def mapped() -> list[int]:
        tens = picky.map([1, 2, 3])
        return add.map(tens, right=1)

    result = run_in(mapped).run()
    assert result.status == "failed"
    by_status = [summary.status for summary in result.steps]
    assert by_status == ["succeeded", "failed", "succeeded", "succeeded", "skipped", "succeeded"]
    names = [summary.node for summary in result.steps]
    assert names[0].startswith("picky[")
    assert names[3] == names[0].replace("picky", "add")


def test_a_body_may_handle_a_failure(run_in):
    @pipeline
    def careful() -> int:
        try:
            return fails(1).value()
        except StepError:
            return number(0)

    result = run_in(careful).run()
    assert (result.status, result.result) == ("succeeded", 0)


def test_an_error_of_the_body_itself_fails_the_run_and_other_branches_finish(run_in):
    @pipeline
    def broken(first: int) -> int:
        number(first)
        raise ZeroDivisionError("in the body")

    result = run_in(broken).run(5)
    assert result.status == "failed"
    assert statuses(result) == {"number": "succeeded"}
    with pytest.raises(ZeroDivisionError):
        run_in(broken)(5)


def test_a_step_is_tried_again_and_every_attempt_is_kept(run_in, store):
    attempts = []

    @step(retries=2, backoff=0.01)
    def flaky() -> int:
        attempts.append(1)
        print(f"attempt {len(attempts)}")
        if len(attempts) < 3:
            raise OSError("not yet")
        return 42

    @pipeline
    def tries() -> int:
        return flaky()

    events = []
    result = run_in(tries, listeners=[events.append]).run()
    assert result.result == 42
    with store.metadata.reading() as tx:
        kept = executions.of_run(tx, result.id)
    assert [(e.attempt, e.status) for e in kept] == [(1, "failed"), (2, "failed"), (3, "succeeded")]
    assert [e.log_text for e in kept] == ["attempt 1\n", "attempt 2\n", "attempt 3\n"]
    assert [e.seconds for e in events if e.kind == "step_retry"] == [0.01, 0.02]


def test_a_step_that_goes_on_failing_fails_after_its_retries(run_in):
    @step(retries=1, backoff=0)
    def hopeless() -> int:
        raise OSError("never")

    @pipeline
    def tries() -> int:
        return hopeless()

    result = run_in(tries).run()
    assert result.status == "failed"
    assert result.steps[0].attempt == 2


def test_steps_run_in_workers(run_in):
    @pipeline
    def far() -> int:
        return in_worker(pl.DataFrame({"a": [1, 2, 3]}))

    placed = run_in(far)
    assert placed() == 3
    assert placed.run().steps[0].status == "cached"


def test_a_step_that_takes_too_long_is_stopped(run_in):
    @pipeline
    def waits() -> int:
        return hangs()

    with pytest.raises(StepTimeoutError, match="step 'hangs' failed"):
        run_in(waits)()


def test_an_output_that_cannot_be_stored_fails_the_step_and_not_the_run_of_others(run_in):
    @step
    def odd() -> object:
        return object()

    @pipeline
    def both() -> int:
        odd()
        return number(3)

    result = run_in(both).run()
    assert statuses(result) == {"odd": "failed", "number": "succeeded"}
    assert "no materialiser" in str(result.error)


def test_listeners_hear_everything_in_order(run_in):
    @pipeline
    def small(value: int) -> int:
        return add(number(value), 1)

    events = []
    placed = run_in(small, listeners=[events.append])
    placed(1)
    told = [(event.kind, event.node, event.status) for event in events]
    assert told == [
        ("run_started", "", ""),
        ("step_started", "number", ""),
        ("step_finished", "number", "succeeded"),
        ("step_started", "add", ""),
        ("step_finished", "add", "succeeded"),
        ("run_finished", "", "succeeded"),
    ]
    assert events[0].details == {"value": 1}
    events.clear()
    placed(1)
    assert [event.status for event in events if event.kind == "step_finished"] == ["cached", "cached"]
    events.clear()
    placed(2)
    reasons = next(event.reasons for event in events if event.kind == "step_started")
    assert any("value" in reason for reason in reasons)


def test_lineage_leads_from_the_result_to_the_first_step(run_in, store):
    @pipeline
    def small(value: int) -> int:
        return add(number(value), 1)

    result = run_in(small).run(1)
    with store.metadata.reading() as tx:
        made = result.step("add").outputs["output"]
        assert lineage.producer(tx, made).id == result.step("add").execution_id
        used = dict(lineage.inputs(tx, result.step("add").execution_id))
    assert used["left"].id == result.step("number").outputs["output"]


def test_a_long_log_becomes_a_blob(run_in, store):
    @step
    def chatty() -> int:
        print("x" * 100_000)
        return 1

    @pipeline
    def talks() -> int:
        return chatty()

    result = run_in(talks).run()
    with store.metadata.reading() as tx:
        execution = executions.get(tx, result.steps[0].execution_id)
    assert execution.log_text == ""
    assert store.artifacts.read(execution.log).decode() == "x" * 100_000 + "\n"


def test_what_a_step_records_is_kept_with_the_run_also_when_it_is_cached(run_in, store):
    @step
    def measures() -> int:
        record("metric", {"name": "roc_auc", "value": 0.74, "context": "validation"})
        record("metric", {"name": "loss", "value": 0.5, "step": 1})
        record("param", {"name": "depth", "value": 6})
        record("tag", {"name": "colour", "value": "green"})
        return 1

    @pipeline
    def flow() -> int:
        return measures()

    for expected in ("succeeded", "cached"):
        result = run_in(flow).run()
        assert result.steps[0].status == expected
        assert list(result.steps[0].outputs) == ["output"]
        with store.metadata.reading() as tx:
            kept = {(metric.name, metric.context, metric.step): metric for metric in values.metrics(tx, result.id)}
            assert values.params(tx, result.id) == {"depth": "6"}
            assert values.tags(tx, result.id) == {"colour": "green"}
        assert kept["roc_auc", "validation", 0].value == 0.74
        assert kept["loss", "", 1].execution_id == result.steps[0].execution_id


@step(executor="worker", retries=1, backoff=0)
def dies(marker: str) -> int:
    first = Path(marker)
    if not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 5


@step(executor="worker")
def sleeps(marker: str) -> int:
    Path(marker).touch()
    threading.Event().wait(60)
    return 1


def test_a_died_worker_is_replaced_and_the_step_tried_again(run_in, tmp_path):
    @pipeline
    def flow(marker: str) -> int:
        return dies(marker)

    result = run_in(flow).run(str(tmp_path / "died"))
    assert result.result == 5
    assert result.steps[0].attempt == 2


def test_a_worker_is_told_when_the_run_is_cancelled(run_in, store, tmp_path):
    marker = tmp_path / "started"

    @pipeline
    def flow() -> int:
        return sleeps(str(marker))

    ids = []

    def cancel() -> None:
        while not marker.exists():
            threading.Event().wait(0.01)
        cancel_run(store, ids[0])

    canceller = threading.Thread(target=cancel)
    canceller.start()
    placed = run_in(flow, lease=LeaseSettings(look=0.02), listeners=[lambda event: ids.append(event.run_id)])
    result = placed.run()
    canceller.join()
    assert result.status == "cancelled"
    assert result.seconds < 20


def test_a_store_that_vanishes_ends_the_run_with_a_clear_error(tmp_path):
    folder = tmp_path / "store"

    @step(cache=False)
    def pulls_the_plug(path: str) -> int:
        shutil.rmtree(path)
        return 1

    @pipeline
    def flow(path: str) -> int:
        return pulls_the_plug(path)

    store = open_store(f"sqlite:///{folder}/store.db", artifacts=str(folder / "artifacts"))
    with pytest.raises(StoreError):
        flow.using(store=store).run(str(folder))
    store.close()


def test_a_full_disk_fails_the_step_that_met_it(run_in, store, monkeypatch):
    @step
    def frame() -> pl.DataFrame:
        return pl.DataFrame({"a": [1]})

    @pipeline
    def flow() -> pl.DataFrame:
        number(1)
        return frame()

    def full(*_: object, **__: object) -> None:
        raise OutOfSpaceError("the disk is full", hint="Free some space.")

    for name in ("put", "put_file", "writer"):
        monkeypatch.setattr(store.artifacts, name, full)
    result = run_in(flow).run()
    assert statuses(result) == {"number": "succeeded", "frame": "failed"}
    assert result.error.exit_code == OutOfSpaceError.exit_code
    assert "Free some space" in str(result.error)


def test_a_wide_map_has_only_as_many_steps_running_as_can_be_worked_on(run_in, store):
    @step(cache=False)
    def looks(item: int) -> int:
        with store.metadata.reading() as tx:
            (run,) = runs.list_runs(tx)
            return sum(execution.status == "running" for execution in executions.of_run(tx, run.id))

    @pipeline
    def wide() -> list[int]:
        return looks.map(range(40))

    assert max(run_in(wide, threads=2)()) <= 4


def test_a_listener_that_raises_ends_the_run_and_the_record_says_so(run_in, store):
    def raises(event):
        if event.kind == "step_started":
            raise RuntimeError("the terminal is gone")

    @pipeline
    def flow() -> int:
        return add(number(1), number(2))

    with pytest.raises(RuntimeError, match="the terminal is gone"):
        run_in(flow, listeners=[raises])()
    with store.metadata.reading() as tx:
        run = runs.list_runs(tx)[0]
        assert (run.status, run.error) == ("failed", "the terminal is gone")
        kept = executions.of_run(tx, run.id)
    assert {execution.status for execution in kept} == {"succeeded"}


@step(memory="1GiB")
def grows() -> int:
    return len(bytearray(2**31).replace(b"\0", b"x"))


@step(cpu=1)
def threads() -> str:
    return os.environ["OMP_NUM_THREADS"]


@step(gpu=64)
def needs_devices() -> int:
    return 1


def test_a_limit_on_an_ordinary_step_is_kept_in_a_worker(run_in):
    """A step that declares what it needs, and nothing else, was refused, or worse, ran without its limit."""

    @pipeline
    def flow() -> list[object]:
        return [threads(), grows(), needs_devices()]

    result = run_in(flow).run()
    assert statuses(result) == {"threads": "succeeded", "grows": "failed", "needs_devices": "failed"}
    assert "declares memory of 1.0 GiB" in result.step("grows").error
    assert "declares gpu=64, and this machine has" in result.step("needs_devices").error


def test_a_limit_that_cannot_be_honoured_is_refused_and_not_ignored(run_in, store):
    @step(memory="1GiB")
    def hungry() -> int:
        return 1

    @pipeline
    def flow() -> int:
        return hungry()

    result = run_in(flow).run()
    assert result.status == "failed"
    assert "a step that declares memory runs in one" in str(result.error)
    assert "executor='inline'" not in str(result.error)
    with store.metadata.reading() as tx:
        assert executions.get(tx, result.steps[0].execution_id).status == "failed"


def test_the_same_work_is_tried_by_the_next_when_the_first_fails(run_in, tmp_path):
    marker = tmp_path / "failed once"

    @step
    def fails_once(value: int) -> int:
        if not marker.exists():
            marker.touch()
            raise OSError("the first time")
        return value

    @pipeline
    def flow() -> list[int]:
        return [fails_once(1), fails_once(1), fails_once(1)]

    result = run_in(flow).run()
    assert [summary.status for summary in result.steps] == ["failed", "succeeded", "cached"]
