"""What survives: interrupted, failed and cancelled runs go on where they were, once, and by one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from tidemill.core.errors import CancelledError, ConflictError, LeaseLostError, NotFoundError, UsageError
from tidemill.core.records import Run
from tidemill.engine import LeaseSettings, pipeline, step
from tidemill.engine import cancel as cancel_run
from tidemill.engine.lease import acquire, owner_state, owner_text, process_start
from tidemill.engine.resume import origin_of, recover
from tidemill.store import audit, contexts, executions, leases, runs


class Switch:
    """Outside of the cache key, in files: whether the last step fails, and what was done."""

    def __init__(self, folder: Path) -> None:
        self._log, self._fails = folder / "log", folder / "fails"
        self._fails.touch()

    def mend(self) -> None:
        self._fails.unlink()
        self._log.write_text("")

    @property
    def done(self) -> list[str]:
        return self._log.read_text().split()


@pytest.fixture
def flow(tmp_path):
    log, fails = tmp_path / "log", tmp_path / "fails"

    def note(what: str) -> None:
        with log.open("a") as file:
            file.write(f"{what}\n")

    @step
    def load(value: int) -> int:
        note("load")
        return value

    @step(effect=True)
    def send(value: int) -> int:
        note("send")
        return value + 1

    @step(cache=False)
    def sample(value: int) -> int:
        note("sample")
        return value + 2

    @step
    def finish(left: int, right: int) -> int:
        note("finish")
        if fails.exists():
            raise OSError("the disk is full")
        return left * right

    @pipeline
    def flow(value: int = 4) -> int:
        loaded = load(value)
        return finish(send(loaded), sample(loaded))

    flow.switch = Switch(tmp_path)
    return flow


def test_resuming_repeats_neither_finished_steps_nor_effects(run_in, flow):
    placed = run_in(flow)
    failed = placed.run(value=7)
    assert failed.status == "failed"
    assert sorted(flow.switch.done) == ["finish", "load", "sample", "send"]
    flow.switch.mend()
    resumed = placed.run(resume="last")
    assert resumed.status == "succeeded", resumed.error
    assert resumed.result == 8 * 9
    assert flow.switch.done == ["finish"]
    assert resumed.resumed_from == failed.id
    assert [summary.status for summary in resumed.steps] == ["cached", "cached", "cached", "succeeded"]


def test_a_resumed_run_can_be_resumed_again(run_in, flow):
    placed = run_in(flow)
    placed.run()
    second = placed.run(resume="last")
    assert second.status == "failed"
    flow.switch.mend()
    assert placed.run(resume=second.id[:12]).status == "succeeded"
    assert flow.switch.done == ["finish"]


def test_a_run_is_resumed_by_one_other_run_only(run_in, flow):
    placed = run_in(flow)
    failed = placed.run()
    flow.switch.mend()
    placed.run(resume=failed.id)
    with pytest.raises(ConflictError, match="was resumed already"):
        placed.run(resume=failed.id)


def test_what_cannot_be_resumed_is_said(run_in, flow):
    flow.switch.mend()
    placed = run_in(flow)
    with pytest.raises(NotFoundError, match="has no run to resume"):
        placed.run(resume="last")
    done = placed.run()
    with pytest.raises(UsageError, match="nothing to resume"):
        placed.run(resume=done.id)

    @pipeline
    def other() -> int:
        return 1

    with pytest.raises(UsageError, match="is of pipeline 'flow', not 'other'"):
        run_in(other).run(resume=done.id)


def test_a_running_run_of_a_living_process_is_a_conflict(run_in, flow, store):
    run = Run(id="01jrunning", project="tests", pipeline="flow", status="running", started_at=1)
    with store.metadata.transaction() as tx:
        runs.insert(tx, run)
        acquire(tx, run.id, 30.0)
        with pytest.raises(ConflictError, match="is being executed by another process"):
            acquire(tx, run.id, 30.0)
    with pytest.raises(ConflictError, match="is still running"):
        run_in(flow).run(resume=run.id)


def test_an_expired_lease_makes_its_run_interrupted(store):
    with store.metadata.transaction() as tx:
        runs.insert(tx, Run(id="01jexpired", project="tests", pipeline="flow", status="running", started_at=1))
        leases.acquire(tx, "run:01jexpired", "elsewhere:1:2:3", -1.0)
        assert recover(tx) == ["01jexpired"]
        assert runs.get(tx, "01jexpired").status == "interrupted"


def test_a_dead_process_of_this_host_is_noticed_before_its_lease_ends(store):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        host = owner_text().partition(":")[0]
        owner = f"{host}:{child.pid}:{process_start(child.pid)}:x"
        assert owner_state(owner) == "alive"
        child.kill()
        child.wait()
    assert owner_state(owner) == "gone"
    assert owner_state("elsewhere:1:2:3") == "unknown"
    assert owner_state(owner_text()) == "alive"
    assert owner_state(f"{host}:{os.getpid()}:1:x") == "gone"
    with store.metadata.transaction() as tx:
        runs.insert(tx, Run(id="01jdead", project="tests", pipeline="flow", status="running", started_at=1))
        leases.acquire(tx, "run:01jdead", owner, 3600.0)
        assert recover(tx) == ["01jdead"]


def test_a_run_that_lost_its_lease_writes_nothing_more(run_in, store):
    @step(cache=False)
    def stolen(value: int) -> int:
        with store.metadata.transaction() as tx:
            (mine,) = [lease for lease in leases.expired(tx, float("inf")) if lease.resource.startswith("run:")]
            leases.renew(tx, mine, -1.0)
            leases.mark_interrupted(tx, mine.expires_at + 1e9)
        return value

    @step
    def after(value: int) -> int:
        return value

    @pipeline
    def victim() -> int:
        return after(stolen(1))

    with pytest.raises(LeaseLostError):
        run_in(victim, lease=LeaseSettings(ttl=0.0, beat=100.0)).run()
    with store.metadata.reading() as tx:
        run = runs.list_runs(tx)[0]
        kept = executions.of_run(tx, run.id)
    assert run.status == "interrupted"
    assert [execution.status for execution in kept] == ["interrupted"]


def test_a_request_from_elsewhere_cancels_a_run(run_in, store):
    started = threading.Event()

    @step(cache=False)
    def waits() -> int:
        started.set()
        threading.Event().wait(30)
        return 1

    @step
    def after(value: int) -> int:
        return value

    @pipeline
    def long() -> int:
        return after(waits())

    ids = []

    def cancel() -> None:
        started.wait(20)
        cancel_run(store, ids[0])

    canceller = threading.Thread(target=cancel)
    canceller.start()
    settings = LeaseSettings(look=0.02)
    result = run_in(long, lease=settings, listeners=[lambda event: ids.append(event.run_id)]).run()
    canceller.join()
    assert result.status == "cancelled"
    assert isinstance(result.error, CancelledError)
    assert [summary.status for summary in result.steps] == ["cancelled", "cancelled"]
    with store.metadata.reading() as tx:
        assert leases.get(tx, f"run:{result.id}") is None
        assert runs.get(tx, result.id).status == "cancelled"
        assert audit.list_events(tx, subject=f"run:{result.id}")[0].action == "run.cancel"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_cancel_the_run_and_end_the_program(tmp_path, store, number, status):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import threading
        from tidemill.core.errors import CancelledError
        from tidemill.engine import pipeline, step
        from tidemill.store import open_store

        @step
        def waits() -> int:
            print("ready", flush=True)
            open({str(tmp_path / "ready")!r}, "w").close()
            threading.Event().wait(60)
            return 1

        @pipeline
        def long() -> int:
            return waits()

        store = open_store("sqlite:///{tmp_path}/store.db", artifacts="{tmp_path}/artifacts")
        try:
            long.using(store=store).run()
        except KeyboardInterrupt:
            raise SystemExit(130)
        except CancelledError:
            raise SystemExit(143)
        """)
    )
    with subprocess.Popen([sys.executable, str(script)]) as child:
        while not (tmp_path / "ready").exists():
            assert child.poll() is None
        child.send_signal(number)
        assert child.wait(20) == status
    with store.metadata.reading() as tx:
        run = runs.list_runs(tx)[0]
        assert run.status == "cancelled"
        assert [execution.status for execution in executions.of_run(tx, run.id)] == ["cancelled"]
        assert leases.get(tx, f"run:{run.id}") is None


def test_a_run_that_has_ended_cannot_be_cancelled(run_in, flow, store):
    ended = run_in(flow).run()
    with pytest.raises(UsageError, match="is not running: 'failed'"):
        cancel_run(store, ended.id[:14])


def test_the_origin_of_a_resumed_run_is_its_first_run(run_in, flow, store):
    first = run_in(flow).run()
    second = run_in(flow).run(resume="last")
    third = run_in(flow).run(resume="last")
    with store.metadata.reading() as tx:
        assert [origin_of(tx, run.id) for run in (first, second, third)] == [first.id] * 3


def test_a_living_process_that_was_too_busy_to_renew_keeps_its_run(store):
    with store.metadata.transaction() as tx:
        runs.insert(tx, Run(id="01jbusy", project="tests", pipeline="flow", status="running", started_at=1))
        leases.acquire(tx, "run:01jbusy", owner_text(), -5.0)
        assert recover(tx) == []
        assert leases.get(tx, "run:01jbusy").expires_at > 0


def test_the_heartbeat_renews_the_lease_of_a_long_step(run_in, store):
    @step(cache=False)
    def waits() -> int:
        renewed = threading.Event()
        first = lease_of_the_run(store).expires_at
        while lease_of_the_run(store).expires_at == first:
            renewed.wait(0.01)
        return 1

    @pipeline
    def long() -> int:
        return waits()

    assert run_in(long, lease=LeaseSettings(ttl=20.0, beat=0.05, look=0.05))() == 1


def lease_of_the_run(store):
    with store.metadata.reading() as tx:
        return next(lease for lease in leases.expired(tx, float("inf")) if lease.resource.startswith("run:"))


def test_a_run_stands_in_its_project_and_pipeline(run_in, flow, store):
    result = run_in(flow).run()
    with store.metadata.reading() as tx:
        found = {context.kind: context for context in contexts.of_run(tx, result.id)}
    assert found["project"].name == "tests"
    assert found["pipeline"].name == "flow"
    assert found["pipeline"].parent_id == found["project"].id
