"""Without these a step that crashes, hangs or leaks would take the run, the machine or other steps with it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import wait
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tidemill.core import clock
from tidemill.core.errors import LeakError, PipelineError, UsageError
from tidemill.core.records import Artifact
from tidemill.engine import materialisers
from tidemill.engine.executors import Executor, IsolatedExecutor, WorkerExecutor
from tidemill.engine.tasks import StepResult, Stored
from tidemill.project import load_project, use_project

PATIENCE = 60


def value(result: StepResult, artifacts):
    assert result.error is None, result
    assert result.status == "succeeded"
    return materialisers.load(result.outputs[0][1], None, artifacts)


def until(condition, what: str) -> None:
    """Wait for something that another process does; a bounded wait for a fact, not for time to pass."""
    done = threading.Event()
    for _ in range(PATIENCE * 50):
        if condition():
            return
        done.wait(0.02)
    pytest.fail(f"never happened: {what}")


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_plain_values_and_tables_cross_the_process_boundary(forking, artifacts, task, steps):
    import polars as pl

    draft = materialisers.save(pl.DataFrame({"x": [1, 2, 3]}), pl.DataFrame, artifacts)
    table = Stored(Artifact("a", draft.digest, draft.type, draft.materialiser, draft.size, 0, draft.inline, draft.blob,
                            draft.metadata), pl.DataFrame)  # fmt: skip
    assert value(forking.submit(task(steps.add, int, a=1, b=2), artifacts).result(PATIENCE), artifacts) == 3
    sent = task(steps.total, int, tables=[table, table], extra={"y": 5})
    result = forking.submit(sent, artifacts).result(PATIENCE)
    assert value(result, artifacts) == 17
    assert (result.rows_in, result.rows_out) == (6, None)
    result = forking.submit(task(steps.doubled, pl.DataFrame, table=table), artifacts).result(PATIENCE)
    assert result.rows_out == 6
    assert value(forking.submit(task(steps.depth_of, int, spec=steps.Spec("m", 3)), artifacts).result(), artifacts) == 3


def test_a_step_knows_itself_and_what_it_records_comes_back(forking, artifacts, task, steps):
    sent = task(steps.who, list)
    result = forking.submit(sent, artifacts).result(PATIENCE)
    assert value(result, artifacts) == ["run", sent.execution_id, "who", 1]
    assert result.logged == (("metric", {"name": "auc", "value": 0.74}),)
    assert result.max_rss > 2**20
    assert 0 < result.seconds < PATIENCE


def test_workers_are_reused_and_isolated_steps_are_not(artifacts, task, steps):
    with_close = {WorkerExecutor: 1, IsolatedExecutor: 5}
    for kind, expected in with_close.items():
        executor = kind(1)
        pids = {value(executor.submit(task(steps.pid, int), artifacts).result(PATIENCE), artifacts) for _ in range(5)}
        executor.close()
        assert len(pids) == expected
        assert os.getpid() not in pids


def test_everything_printed_is_in_the_log(forking, artifacts, task, steps):
    log = forking.submit(task(steps.talk), artifacts).result(PATIENCE).log
    for word in ("to stdout", "to stderr", "from C", "from a child", "WARNING mine: logged", "UserWarning: careful"):
        assert word in log
    assert log.count("logged") == 1


def test_a_flood_of_output_is_bounded_and_keeps_both_ends(workers, artifacts, task, steps):
    log = workers.submit(task(steps.print_much, size=5_000_000), artifacts).result(PATIENCE).log
    assert log.startswith("first line")
    assert log.endswith("last line\n")
    assert "characters dropped" in log
    assert len(log) < 1_100_000


def test_lines_arrive_while_the_step_runs(artifacts, task, steps, tmp_path):
    lines, seen = [], threading.Event()

    def on_line(sent, line):
        lines.append((sent.node, line))
        seen.set()

    executor = WorkerExecutor(1, on_line=on_line)
    future = executor.submit(task(steps.sleep, int, seconds=300.0), artifacts)
    assert seen.wait(PATIENCE)
    assert not future.done()
    assert lines == [("sleep", "asleep")]
    executor.close()
    assert future.result(0).status == "cancelled"


def test_a_failing_step_says_where_and_the_worker_goes_on(forking, artifacts, task, steps):
    result = forking.submit(task(steps.broken, n=7), artifacts).result(PATIENCE)
    assert (result.status, result.error.kind, result.error.type) == ("failed", "user", "ValueError")
    assert result.error.message == "no row 7"
    assert "KeyError: 7" in result.error.traceback
    assert "in _deeper" in result.error.traceback
    assert "engine" + os.sep + "tasks.py" not in result.error.traceback
    assert result.log == "before it broke\n"
    assert value(forking.submit(task(steps.add, int, a=1, b=1), artifacts).result(PATIENCE), artifacts) == 2


def test_errors_of_tidemill_keep_their_type_across_processes(forking, artifacts, task, steps):
    error = forking.submit(task(steps.leak), artifacts).result(PATIENCE).error
    assert isinstance(error.exception, LeakError)
    assert error.exception.exit_code == 4
    assert str(error.exception) == error.message
    assert error.kind == "user"


def test_a_result_that_cannot_be_stored_is_a_clear_failure(forking, artifacts, task, steps):
    error = forking.submit(task(steps.unstorable, object), artifacts).result(PATIENCE).error
    assert (error.kind, error.type) == ("tidemill", "MaterialiserError")
    assert "lock" in error.message


def test_recording_something_that_cannot_travel_is_a_clear_failure(forking, artifacts, task, steps):
    result = forking.submit(task(steps.record_frame), artifacts).result(PATIENCE)
    assert result.error.kind == "tidemill"
    assert "polars" in result.error.message
    assert result.outputs == ()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM], ids=lambda number: number.name)
def test_a_worker_that_dies_is_reported_and_replaced(forking, artifacts, task, steps, number):
    result = forking.submit(task(steps.kill_self, number=int(number)), artifacts).result(PATIENCE)
    assert (result.status, result.error.kind) == ("failed", "died")
    assert number.name in result.error.message
    assert result.log.startswith("last words")
    assert value(forking.submit(task(steps.add, int, a=1, b=1), artifacts).result(PATIENCE), artifacts) == 2


def test_ways_to_leave_without_a_result(workers, artifacts, task, steps):
    result = workers.submit(task(steps.exit_now, code=0), artifacts).result(PATIENCE)
    assert result.error.kind == "died"
    assert "exited with code 0" in result.error.message
    result = workers.submit(task(steps.leave, code=3), artifacts).result(PATIENCE)
    assert (result.error.kind, result.error.type, result.error.message) == ("user", "SystemExit", "3")
    result = workers.submit(task(steps.close_everything), artifacts).result(PATIENCE)
    assert result.error.kind == "died"


def test_a_timeout_kills_the_step_and_its_children(forking, artifacts, task, steps, tmp_path):
    note = tmp_path / "pids"
    result = forking.submit(task(steps.spawn_and_sleep, note=str(note), timeout_=1.0), artifacts).result(PATIENCE)
    assert (result.status, result.error.kind) == ("failed", "timeout")
    assert "timeout of 1 s" in result.error.message
    assert 1.0 <= result.seconds < 30
    for pid in note.read_text().split():
        until(lambda pid=pid: is_gone(int(pid)), "the step's processes end")
    assert value(forking.submit(task(steps.add, int, a=1, b=1), artifacts).result(PATIENCE), artifacts) == 2


def test_a_step_over_its_memory_is_stopped_and_told_both_figures(forking, artifacts, task, steps):
    size = 400 * 2**20
    result = forking.submit(task(steps.grow, int, size=size, memory_=200 * 2**20), artifacts).result(PATIENCE)
    assert result.error.kind == "died"
    assert "declares memory of 200 MiB" in result.error.message
    assert result.max_rss > 200 * 2**20
    result = forking.submit(task(steps.grow, int, size=2**20, memory_=2**30), artifacts).result(PATIENCE)
    assert value(result, artifacts) == 2**20


def test_memory_left_behind_by_one_step_is_not_counted_against_the_next(artifacts, task, steps):
    executor = WorkerExecutor(1)
    first = value(executor.submit(task(steps.pid, int), artifacts).result(PATIENCE), artifacts)
    limited = value(executor.submit(task(steps.pid, int, memory_=2**30), artifacts).result(PATIENCE), artifacts)
    again = value(executor.submit(task(steps.pid, int, memory_=2**30), artifacts).result(PATIENCE), artifacts)
    executor.close()
    assert len({first, limited, again}) == 3


def test_cpu_limits_the_threads_of_numeric_libraries(workers, artifacts, task, steps):
    result = workers.submit(task(steps.threads_of_polars, int, cpu_=1), artifacts).result(PATIENCE)
    assert value(result, artifacts) == 1
    result = workers.submit(task(steps.environment, str, name="OMP_NUM_THREADS", cpu_=1), artifacts).result(PATIENCE)
    assert value(result, artifacts) == "1"
    result = workers.submit(task(steps.environment, name="POLARS_MAX_THREADS"), artifacts).result(PATIENCE)
    assert value(result, artifacts) == os.environ.get("POLARS_MAX_THREADS")


LACKING = [({"gpu_": 64}, "gpu=64"), ({"cpu_": 4096}, "4096"), ({"memory_": 2**60}, "GiB")]


@pytest.mark.parametrize(("limit", "words"), LACKING)
def test_what_the_machine_has_not_is_refused(forking, artifacts, task, steps, limit, words):
    with pytest.raises(PipelineError, match=words):
        forking.submit(task(steps.nothing, **limit), artifacts)


def test_functions_and_values_that_cannot_travel_are_refused_by_name(forking, artifacts, task, steps):
    def nested() -> None:
        """Do nothing."""

    with pytest.raises(PipelineError, match="top level of a module"):
        forking.submit(task(lambda: 1), artifacts)
    with pytest.raises(PipelineError, match="top level of a module"):
        forking.submit(task(nested), artifacts)
    with pytest.raises(PipelineError, match="argument 'b' of step 'add'"):
        forking.submit(task(steps.add, a=1, b=threading.Lock()), artifacts)


def test_an_artifact_store_in_memory_is_refused(forking, task, steps):
    from tidemill.store.artifacts import open_artifacts

    with pytest.raises(PipelineError, match="memory"):
        forking.submit(task(steps.nothing), open_artifacts("memory://here"))


def test_cancelling_what_waits_and_what_runs(artifacts, task, steps, tmp_path):
    executor = WorkerExecutor(1)
    note = tmp_path / "pid"
    running = task(steps.sleep, int, seconds=300.0, note=str(note))
    waiting = task(steps.add, int, a=1, b=2)
    first, second = executor.submit(running, artifacts), executor.submit(waiting, artifacts)
    until(lambda: note.exists() and note.read_text(), "the step starts")
    executor.cancel(waiting.execution_id)
    executor.cancel(running.execution_id)
    executor.cancel("unknown")
    assert second.result(PATIENCE).status == "cancelled"
    assert first.result(PATIENCE).status == "cancelled"
    assert first.result().error.kind == "cancelled"
    assert "asleep" in first.result().log
    until(lambda: is_gone(int(note.read_text())), "the cancelled worker ends")
    assert value(executor.submit(task(steps.add, int, a=1, b=2), artifacts).result(PATIENCE), artifacts) == 3
    executor.close()
    executor.cancel("after closing")
    with pytest.raises(UsageError, match="closed"):
        executor.submit(task(steps.nothing), artifacts)
    executor.close()


def test_a_future_cancelled_by_its_owner_is_not_run(artifacts, task, steps, tmp_path):
    executor = WorkerExecutor(1)
    note = tmp_path / "pid"
    running = executor.submit(task(steps.sleep, int, seconds=300.0, note=str(note)), artifacts)
    until(note.exists, "the step starts")
    futures = [executor.submit(task(steps.nothing), artifacts) for _ in range(3)]
    assert futures[2].cancel()
    executor.close()
    assert running.result(PATIENCE).status == "cancelled"
    assert futures[0].result(PATIENCE).status == "cancelled"
    assert futures[2].cancelled()


def test_two_hundred_mixed_tasks_from_many_threads_all_end(workers, artifacts, task, steps):
    rng = random.Random(7)
    makers = [
        (lambda n: task(steps.add, int, a=n, b=1), "succeeded"),
        (lambda n: task(steps.broken, n=n), "failed"),
        (lambda n: task(steps.exit_now, code=n % 5), "failed"),
        (lambda n: task(steps.group, dict, n=1000), "succeeded"),
        (lambda n: task(steps.sleep, int, seconds=60.0, timeout_=0.05), "failed"),
    ]
    chosen = rng.choices(makers, weights=[150, 20, 8, 20, 2], k=200)
    futures: dict[int, object] = {}

    def submit(share: range) -> None:
        for number in share:
            futures[number] = workers.submit(chosen[number][0](number), artifacts)

    threads = [threading.Thread(target=submit, args=(range(start, 200, 4),)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wait(futures.values(), PATIENCE).not_done
    for number, (_, status) in enumerate(chosen):
        assert futures[number].result().status == status, (number, futures[number].result())


def test_queries_work_in_children_of_a_process_that_has_imported_polars(forking, artifacts, task, steps):
    futures = [forking.submit(task(steps.group, dict, n=50_000), artifacts) for _ in range(20)]
    results = [value(future.result(PATIENCE), artifacts) for future in futures]
    assert all(result == results[0] for result in results)


def test_the_environment_and_folder_are_those_of_now(workers, artifacts, task, steps, monkeypatch, tmp_path):
    for expected in ("first", "second"):
        monkeypatch.setenv("TIDEMILL_TEST_VALUE", expected)
        result = workers.submit(task(steps.environment, str, name="TIDEMILL_TEST_VALUE"), artifacts).result(PATIENCE)
        assert value(result, artifacts) == expected
    monkeypatch.delenv("TIDEMILL_TEST_VALUE")
    result = workers.submit(task(steps.environment, name="TIDEMILL_TEST_VALUE"), artifacts).result(PATIENCE)
    assert value(result, artifacts) is None
    monkeypatch.chdir(tmp_path)
    assert value(workers.submit(task(steps.folder, str), artifacts).result(PATIENCE), artifacts) == str(tmp_path)


def test_the_project_and_the_clock_are_those_of_the_caller(forking, artifacts, task, steps, tmp_path):
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "mill"\n[profiles.night]\n')
    start = datetime(2013, 1, 1, tzinfo=UTC)
    with use_project(load_project(tmp_path, profile="night")), clock.use_clock(clock.VirtualClock(start)) as virtual:
        for _ in range(2):
            result = forking.submit(task(steps.project_and_time, list), artifacts).result(PATIENCE)
            assert value(result, artifacts) == ["mill", "night", clock.now().isoformat()]
            virtual.advance(timedelta(days=1))
    result = forking.submit(task(steps.project_and_time, list), artifacts).result(PATIENCE)
    assert value(result, artifacts)[2] > "2013-01-03"


def test_an_edited_module_is_loaded_anew(workers, artifacts, task, tmp_path):
    from tidemill.engine.tasks import FunctionRef

    helper, module = tmp_path / "tm_edited_helper.py", tmp_path / "tm_edited.py"
    helper.write_text("K = 1\n")
    module.write_text("def k() -> int:\n    from tm_edited_helper import K\n    return K\n")
    sent = task(FunctionRef("tm_edited", "k", str(module)), int, root_=str(tmp_path))
    assert value(workers.submit(sent, artifacts).result(PATIENCE), artifacts) == 1
    assert value(workers.submit(sent, artifacts).result(PATIENCE), artifacts) == 1
    helper.write_text("K = 20\n")
    assert value(workers.submit(sent, artifacts).result(PATIENCE), artifacts) == 20
    module.write_text("def k() -> int:\n    return 300\n")
    assert value(workers.submit(sent, artifacts).result(PATIENCE), artifacts) == 300


THREADED = """
import threading
lock = threading.Lock()
def hold():
    while True:
        with lock:
            threading.Event().wait(0.01)
threading.Thread(target=hold, daemon=True).start()
def use() -> int:
    with lock:
        return 1
"""
QUERYING = """
import polars as pl
LIMIT = pl.DataFrame({"x": [1, 2, 3]}).lazy().select(pl.col("x").sum()).collect().item()
def use() -> int:
    return pl.DataFrame({"x": [1] * 100_000}).lazy().group_by("x").len().collect().height
"""


@pytest.mark.parametrize("source", [THREADED, QUERYING], ids=["thread", "query"])
def test_a_module_that_starts_threads_when_imported_never_reaches_a_fork(forking, artifacts, task, tmp_path, source):
    from tidemill.engine.tasks import FunctionRef

    module = tmp_path / "tm_threaded.py"
    module.write_text(source)
    sent = task(FunctionRef("tm_threaded", "use", str(module)), int)
    futures = [forking.submit(sent, artifacts) for _ in range(6)]
    assert [value(future.result(PATIENCE), artifacts) for future in futures] == [1] * 6


def test_a_module_that_cannot_be_imported_fails_its_steps_with_the_reason(forking, artifacts, task, tmp_path):
    from tidemill.engine.tasks import FunctionRef

    module = tmp_path / "tm_unimportable.py"
    module.write_text("raise RuntimeError('no licence')\n")
    sent = task(FunctionRef("tm_unimportable", "use", str(module)), int)
    error = forking.submit(sent, artifacts).result(PATIENCE).error
    assert (error.kind, error.type) == ("user", "RuntimeError")
    assert "no licence" in error.message
    assert "tm_unimportable.py" in error.traceback


def test_decorators_under_step_stay_on_in_a_worker(workers, artifacts, task, steps):
    sent = task(steps.decorated.function, int, n=21)
    assert value(workers.submit(sent, artifacts).result(PATIENCE), artifacts) == 42


def test_the_zygote_dies_and_work_goes_on(workers, artifacts, task, steps, tmp_path):
    note = tmp_path / "pid"
    running = workers.submit(task(steps.sleep, int, seconds=300.0, note=str(note)), artifacts)
    until(lambda: note.exists() and note.read_text(), "the step starts")
    worker = psutil.Process(int(note.read_text()))
    worker.parent().kill()
    assert running.result(PATIENCE).error.kind == "died"
    until(lambda: is_gone(worker.pid), "the orphaned worker ends")
    assert value(workers.submit(task(steps.add, int, a=1, b=2), artifacts).result(PATIENCE), artifacts) == 3


def test_closing_leaves_no_process(artifacts, task, steps, tmp_path):
    before = set(psutil.Process().children(recursive=True))
    for kind in (WorkerExecutor, IsolatedExecutor):
        executor: Executor = kind(2)
        futures = [executor.submit(task(steps.add, int, a=1, b=n), artifacts) for n in range(4)]
        note = tmp_path / kind.__name__
        futures.append(executor.submit(task(steps.spawn_and_sleep, note=str(note)), artifacts))
        until(lambda note=note: note.exists() and note.read_text(), "the last step starts")
        started = set(psutil.Process().children(recursive=True)) - before
        assert len(started) >= 2
        executor.close()
        assert all(future.done() for future in futures)
        until(lambda started=started: all(is_gone(process.pid) for process in started), "every process ends")
        kind(2).close()  # one that was never used has nothing to close


SCRIPT = """
import sys, threading
from pathlib import Path
from tidemill.engine.executors import WorkerExecutor
from tidemill.engine.tasks import StepTask
from tidemill.store.artifacts import open_artifacts
from dataclasses import dataclass

@dataclass(frozen=True)
class Spec:
    depth: int

MODE = sys.argv[2]  # modules that look at the arguments when they are imported find the parent's

def depth(spec: Spec) -> list:
    return [MODE, sys.argv[2], spec.depth, Spec.__module__, spec == Spec(3)]

def linger(note: str) -> None:
    import os, subprocess, time
    child = subprocess.Popen(["sleep", "300"])
    Path(note).write_text(f"{os.getpid()} {os.getppid()} {child.pid}")
    while True:
        pass

if __name__ == "__main__":
    folder, mode = sys.argv[1:]
    artifacts, executor = open_artifacts(folder + "/a"), WorkerExecutor(2)
    def task(function, returns, **arguments):
        return StepTask(function.__name__, "r", "p", "t", "s", "s", 1, function, arguments, returns)
    result = executor.submit(task(depth, list, spec=Spec(3)), artifacts).result(60)
    print(result.outputs[0][1].inline if result.outputs else result, flush=True)
    if mode == "linger":
        executor.submit(task(linger, None, note=folder + "/pids"), artifacts)
        threading.Event().wait()
"""


def run_script(tmp_path: Path, mode: str) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", str(script), str(tmp_path), mode],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_steps_of_a_script_run_in_workers_and_an_unclosed_executor_does_not_hold_the_exit(tmp_path):
    process = run_script(tmp_path, "once")
    output, errors = process.communicate(timeout=PATIENCE)
    assert output.strip() == '["once","once",3,"__main__",true]'
    assert errors == ""
    assert process.returncode == 0


def test_no_orphan_when_the_parent_is_killed(tmp_path):
    process = run_script(tmp_path, "linger")
    note = tmp_path / "pids"
    until(lambda: note.exists() and len(note.read_text().split()) == 3, "the step starts")
    process.kill()
    process.communicate(timeout=PATIENCE)
    for pid in note.read_text().split():
        until(lambda pid=pid: is_gone(int(pid)), "workers, zygote and the step's child end")


def test_a_forked_copy_of_the_parent_does_not_keep_the_workers_alive(artifacts, task, steps):
    executor = WorkerExecutor(1)
    pid = value(executor.submit(task(steps.pid, int), artifacts).result(PATIENCE), artifacts)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    executor.close()
    until(lambda: is_gone(pid), "the worker ends")
    os.close(write)
    os.close(read)
    os.waitpid(child, 0)
