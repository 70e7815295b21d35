"""What every metadata database must do: checks that raise AssertionError, for our backends and for yours.

>>> import tempfile
>>> from tidemill.store import migrations
>>> from tidemill.store.database import connect
>>> folder = tempfile.TemporaryDirectory()
>>> database = connect(f"sqlite:///{folder.name}/store.db")
>>> database.create(migrations.build)
>>> check_runs_come_back_as_they_were(database)
>>> database.close()
>>> folder.cleanup()
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tidemill.core import clock
from tidemill.core.errors import ConflictError, LeaseLostError, NotFoundError, StoreError, UsageError
from tidemill.core.ids import new_id
from tidemill.core.records import Context, Execution, Metric, Run, StepStatus
from tidemill.store import contexts, executions, leases, lineage, runs, values
from tidemill.store.database import Database
from tidemill.testing import labelling_contract, registry_contract, study_contract
from tidemill.testing.building import AWKWARD, a_run, an_artifact, fails, made_by, raises

__all__ = ["CHECKS"]


def check_runs_come_back_as_they_were(database: Database) -> None:
    """Every field of a run survives, and the parts that the end of a run sets."""
    parent = a_run(database)
    run = Run(
        new_id(), "p", AWKWARD, "running", 1_700_000_000_000_001, parent_id=parent.id, resumed_from=parent.id,
        user="ann", host="mill", commit="abc", arguments={"text": AWKWARD, "nested": [1, 2.5, None, True]},
        environment={"\ud800": "x"},
    )  # fmt: skip
    with database.transaction() as tx:
        runs.insert(tx, run)
        assert runs.get(tx, run.id) == run
        runs.finish(tx, run.id, "failed", 2, "bad\x00byte \udcff")
    with database.reading() as tx:
        assert runs.get(tx, run.id) == replace(run, status="failed", ended_at=2, error="bad␀byte ?")
        assert [child.id for child in runs.children(tx, parent.id)] == [run.id]
    raises(database, ConflictError, lambda tx: runs.insert(tx, run))
    raises(database, NotFoundError, lambda tx: runs.insert(tx, replace(run, id=new_id(), parent_id="nobody")))
    raises(database, NotFoundError, lambda tx: runs.finish(tx, "nobody", "failed", 1))


def check_a_unique_prefix_finds_a_record(database: Database) -> None:
    """An id may be shortened while it stays unique; an ambiguous or strange one is refused."""
    with database.transaction() as tx:
        for name in ("abc0", "abc1", "abc12", "b"):
            runs.insert(tx, Run(name, "p", "train", "running", 1))
        assert runs.get(tx, "B").id == "b"
        assert runs.get(tx, "abc0").id == "abc0"
        assert runs.get(tx, "abc1").id == "abc1"
    raises(database, UsageError, lambda tx: runs.get(tx, "abc"), "abc0, abc1, abc12")
    with database.reading() as tx:
        for wrong in ("", "%", "_", "zzz", "abc'", "\x00"):
            fails(NotFoundError, partial(runs.get, tx, wrong))


def check_lists_are_filtered_and_paged(database: Database) -> None:
    """Pages are newest first and neither skip nor repeat a run, though many started in the same microsecond."""
    made = [Run(new_id(), "p" if i % 3 else "q", "train", "succeeded", i // 7) for i in range(40)]
    with database.transaction() as tx:
        for run in reversed(made):
            runs.insert(tx, run)
    expected = [run.id for run in sorted(made, key=lambda run: (run.started_at, run.id), reverse=True)]
    for limit in (1, 3, 50):
        paged: list[str] = []
        with database.reading() as tx:
            while page := runs.list_runs(tx, limit=limit, before=paged[-1] if paged else None):
                paged += [run.id for run in page]
        assert paged == expected
    with database.reading() as tx:
        assert {run.project for run in runs.list_runs(tx, project="q", pipeline="train")} == {"q"}
        assert runs.list_runs(tx, status="failed") == []
        assert len(runs.list_runs(tx)) == 40


def check_a_transaction_is_all_or_nothing(database: Database) -> None:
    """What a failing block wrote is gone, and the next transaction works."""
    run = Run(new_id(), "p", "train", "running", 1)
    try:
        with database.transaction() as tx:
            runs.insert(tx, run)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    raises(database, NotFoundError, lambda tx: runs.get(tx, run.id))
    raises(database, ConflictError, lambda tx: [runs.insert(tx, twice) for twice in (run, run)])  # type: ignore[func-returns-value]
    raises(database, NotFoundError, lambda tx: runs.get(tx, run.id))


def check_a_snapshot_stands_still(database: Database) -> None:
    """A reader sees one moment, and cannot write; a transaction cannot be opened inside another."""
    with database.reading() as tx:
        assert runs.list_runs(tx) == []
        a_run(database)
        assert runs.list_runs(tx) == []
        with database.reading() as joined:
            assert runs.list_runs(joined) == []
    with database.reading() as tx:
        assert len(runs.list_runs(tx)) == 1
        fails(StoreError, lambda: values.put_tags(tx, runs.list_runs(tx)[0].id, {"a": "b"}), "cannot write")
    raises(database, StoreError, lambda _: database.transaction().__enter__(), "already open")


def check_executions_keep_what_they_used_andmade_by(database: Database) -> None:
    """The record, its inputs and its outputs come back, outputs in their order."""
    run = a_run(database)
    used = made_by(database, run, "load")[0]
    running = Execution(
        new_id(),
        run.id,
        "fit",
        "fit#2",
        "running",
        5,
        key="k",
        code="c",
        key_parts={"param:trials": "d", "env:TZ": "e"},
    )
    done = replace(
        running, status="succeeded", ended_at=9, attempt=2, executor="worker", log_text=AWKWARD, log="ab" * 32,
        seconds=0.25, cpu_seconds=1.5, max_rss=1 << 40,
    )  # fmt: skip
    made = [(str(i), an_artifact(metadata={"i": [i]}, inline=str(i))) for i in range(11)]
    with database.transaction() as tx:
        executions.start(tx, running)
        assert executions.get(tx, running.id) == running
        executions.finish(tx, done, [("data", used.id), ("again", used.id)], made)
    with database.reading() as tx:
        assert executions.get(tx, running.id[:25]) == done
        assert lineage.inputs(tx, done.id) == [("data", used), ("again", used)]
        assert lineage.outputs(tx, done.id) == made
        assert [execution.step for execution in executions.of_run(tx, run.id)] == ["load", "fit"]
        assert [execution.id for execution in lineage.users(tx, used.id)] == [done.id]
        assert "ab" * 32 in set(lineage.referenced_blobs(tx))
    raises(database, LeaseLostError, lambda tx: executions.finish(tx, done), "'fit'")
    raises(database, NotFoundError, lambda tx: executions.finish(tx, replace(done, id="nobody")))
    raises(database, NotFoundError, lambda tx: executions.start(tx, replace(running, id=new_id(), run_id="nobody")))
    raises(database, NotFoundError, lambda tx: executions.put_events(tx, done.id, [("x", "nobody")], []))


def check_only_the_last_success_is_reused(database: Database) -> None:
    """A cache hit is the newest succeeded execution of the key; running, failed and cached ones do not count."""
    run = a_run(database)
    with database.reading() as tx:
        assert executions.find_cached(tx, "k") is None
    other: tuple[StepStatus, ...] = ("running", "failed", "cached", "cancelled", "interrupted")
    with database.transaction() as tx:
        for status in other:
            executions.record(tx, Execution(new_id(), run.id, "s", "s", status, 1, 99, key="k"))
        assert executions.find_cached(tx, "k") is None
        for ended in (10, 30, 20):
            out = an_artifact(inline=str(ended))
            executions.record(
                tx,
                Execution(f"s{ended}", run.id, "s", "s", "succeeded", 1, ended, key="k"),
                [],
                [("a", out), ("0", out)],
            )
        executions.record(tx, Execution("bare", run.id, "s", "s", "succeeded", 1, 1, key="other"))
    with database.reading() as tx:
        hit = executions.find_cached(tx, "k")
        assert hit is not None
        assert hit[0].id == "s30"
        assert [(name, artifact.inline) for name, artifact in hit[1]] == [("a", "30"), ("0", "30")]
        bare = executions.find_cached(tx, "other")
        assert bare is not None
        assert bare[1] == []


def check_why_compares_with_the_last_good_execution(database: Database) -> None:
    """`latest` looks at one project, pipeline and node, and leaves failures out; fingerprints are kept once."""
    run = a_run(database)
    with database.transaction() as tx:
        runs.insert(tx, Run("elsewhere", "other", "train", "running", 1))
        for i, (status, run_id) in enumerate(
            [("succeeded", run.id), ("cached", run.id), ("failed", run.id), ("succeeded", "elsewhere")]
        ):
            executions.record(tx, Execution(f"e{i}", run_id, "s", "s", status, i, i))  # type: ignore[arg-type]
        found = executions.latest(tx, run.project, run.pipeline, "s")
        assert found is not None
        assert found.id == "e1"
        assert executions.latest(tx, run.project, run.pipeline, "t") is None
        for _ in range(2):
            executions.put_fingerprint(tx, "digest", {"function m.f": "abc", "package polars": "2.1.0"})
        assert executions.get_fingerprint(tx, "digest") == {"function m.f": "abc", "package polars": "2.1.0"}
        assert executions.get_fingerprint(tx, "nothing") is None


def check_lineage_is_walked_both_ways(database: Database) -> None:
    """A diamond is walked once each way, a reuse adds nothing, and a step that returns its input ends the walk."""
    run = a_run(database)
    (raw,) = made_by(database, run, "load")
    (left,) = made_by(database, run, "left", [raw])
    (right,) = made_by(database, run, "right", [raw])
    (model,) = made_by(database, run, "fit", [left, right])
    with database.transaction() as tx:
        reused = Execution(
            new_id(), run.id, "fit", "fit", "cached", 9, 9, cached_from=lineage.producer(tx, model.id).id
        )
        executions.record(tx, reused, [("0", left.id)], [("output", model)])
        executions.record(
            tx, Execution(new_id(), run.id, "same", "same", "succeeded", 9, 9), [("0", left.id)], [("o", left)]
        )
    with database.reading() as tx:
        assert lineage.producer(tx, model.id).step == "fit"
        up = [(edge.step, edge.direction, edge.artifact_id) for edge in lineage.upstream(tx, model.id)]
        down = {edge.step for edge in lineage.downstream(tx, raw.id)}
        assert [edge.step for edge in lineage.upstream(tx, raw.id)] == ["load"]
        assert lineage.downstream(tx, model.id) == []
        assert lineage.get_artifact(tx, model.digest) == model
        assert lineage.get_artifact(tx, model.id[:25]) == model
    assert [pair for pair in up if pair[0] == "fit"] == [
        ("fit", "input", left.id), ("fit", "input", right.id), ("fit", "output", model.id),
    ]  # fmt: skip
    assert ("load", "output", raw.id) in up
    assert len(up) == len(set(up))
    assert down == {"left", "right", "fit", "same"}
    raises(database, NotFoundError, lambda tx: lineage.producer(tx, "nobody"))
    raises(database, NotFoundError, lambda tx: lineage.get_artifact(tx, "nobody"))


def check_params_are_written_once_and_tags_again(database: Database) -> None:
    """The same value twice is harmless, another is a conflict that changes nothing; a tag's last value counts."""
    run = a_run(database)
    with database.transaction() as tx:
        values.put_params(tx, run.id, {"trials": "20", "note": AWKWARD, "nul": "\x00"})
        values.put_params(tx, run.id, {"trials": "20", "nul": "\x00"})
        values.put_params(tx, run.id, {})
        values.put_tags(tx, run.id, {"owner": "ann"})
        values.put_tags(tx, run.id, {"owner": "bob", "team": "x"})
        assert values.delete_tag(tx, run.id, "team")
        assert not values.delete_tag(tx, run.id, "team")
    raises(database, ConflictError, lambda tx: values.put_params(tx, run.id, {"new": "1", "trials": "21"}), "'trials'")
    raises(database, NotFoundError, lambda tx: values.put_params(tx, "nobody", {"a": "b"}))
    with database.reading() as tx:
        assert values.params(tx, run.id) == {"note": AWKWARD, "nul": "␀", "trials": "20"}
        assert values.tags(tx, run.id) == {"owner": "bob"}


def check_every_measurement_is_kept(database: Database) -> None:
    """Metrics are appended, NaN and infinities included, and the last by step, then time, is found at once."""
    run = a_run(database)
    with database.transaction() as tx:
        values.put_metrics(tx, [Metric(run.id, "auc", i / 10, step=i, time=i) for i in range(5)])
        values.put_metrics(tx, [Metric(run.id, "auc", 0.9, step=3, time=99), Metric(run.id, "auc", 0.5, 1, 1, "test")])
        values.put_metrics(tx, [Metric(run.id, "auc", 0.45, step=4, time=4), Metric(run.id, "big", math.inf)])
        values.put_metrics(tx, [Metric(run.id, "nan", math.nan, execution_id="e"), Metric(run.id, "int", 3)])
        values.put_metrics(tx, [])
    with database.reading() as tx:
        found = values.metrics(tx, run.id, "auc")
        last = {(metric.name, metric.context): metric for metric in values.last_metrics(tx, run.id)}
        assert len(values.metrics(tx, run.id)) == 11
    assert [metric.value for metric in found] == [0.0, 0.1, 0.2, 0.3, 0.9, 0.4, 0.45, 0.5]
    assert last["auc", ""].value == 0.45
    assert last["auc", "test"].value == 0.5
    assert last["big", ""].value == math.inf
    assert last["int", ""].value == 3.0
    assert math.isnan(last["nan", ""].value)
    assert last["nan", ""].execution_id == "e"
    raises(database, NotFoundError, lambda tx: values.put_metrics(tx, [Metric("nobody", "auc", 1.0)]))


def check_a_lease_has_one_owner(database: Database) -> None:
    """A live lease is not taken; an expired one is, and its former owner can neither renew nor write."""
    with database.transaction() as tx:
        first = leases.acquire(tx, "run:r", "ann", 60)
        assert first.epoch == 1
        first = leases.renew(tx, first, 120)
        leases.check(tx, first)
        assert leases.get(tx, "run:r") == first
        assert leases.expired(tx, first.expires_at - 1) == []
    raises(database, ConflictError, lambda tx: leases.acquire(tx, "run:r", "bob", 60), "'ann'")
    with database.transaction() as tx:
        first = leases.renew(tx, first, -1)
        assert leases.expired(tx, clock.lease_now()) == [first]
        first = leases.renew(tx, first, -1)
        second = leases.acquire(tx, "run:r", "bob", 60)
        assert second.epoch == 2
        leases.release(tx, first)
        leases.check(tx, second)
    raises(database, LeaseLostError, lambda tx: leases.check(tx, first), "'bob'")
    raises(database, LeaseLostError, lambda tx: leases.renew(tx, first, 60), "'bob'")
    with database.transaction() as tx:
        leases.release(tx, second)
        assert leases.get(tx, "run:r") is None
        third = leases.acquire(tx, "run:r", "ann", 60)
        assert third.epoch == 3
    raises(database, LeaseLostError, lambda tx: leases.check(tx, first))


def check_dead_runs_are_marked(database: Database) -> None:
    """A running run whose lease expired, and its running steps, become interrupted; the late owner is fenced off."""
    dead, alive, done = a_run(database), a_run(database), a_run(database)
    with database.transaction() as tx:
        lost = leases.acquire(tx, leases.RUN + dead.id, "a", 1)
        leases.acquire(tx, leases.RUN + alive.id, "b", 1000)
        leases.acquire(tx, leases.RUN + done.id, "c", 1)
        leases.acquire(tx, "endpoint:x", "d", 1)
        runs.finish(tx, done.id, "succeeded", 5)
        running = Execution(new_id(), dead.id, "fit", "fit", "running", 1)
        executions.start(tx, running)
        executions.record(tx, Execution("kept", dead.id, "load", "load", "succeeded", 1, 2))
    with database.transaction() as tx:
        assert leases.mark_interrupted(tx, clock.lease_now()) == []
        assert leases.mark_interrupted(tx, clock.lease_now() + 10) == [dead.id]
        assert leases.mark_interrupted(tx, clock.lease_now() + 10) == []
        assert [runs.get(tx, run.id).status for run in (dead, alive, done)] == ["interrupted", "running", "succeeded"]
        assert executions.get(tx, running.id).status == "interrupted"
        assert executions.get(tx, "kept").status == "succeeded"
        assert [lease.resource for lease in leases.expired(tx, clock.lease_now() + 10)] == ["endpoint:x"]
    raises(database, LeaseLostError, lambda tx: leases.check(tx, lost))
    raises(database, LeaseLostError, lambda tx: executions.finish(tx, replace(running, status="succeeded", ended_at=3)))


def check_contexts_are_found_by_name(database: Database) -> None:
    """A context is one by kind, name and parent; runs are put into it once."""
    run = a_run(database)
    with database.transaction() as tx:
        project = contexts.put(tx, Context(new_id(), "project", "flights", 1))
        again = contexts.put(tx, Context(new_id(), "project", "flights", 2, attributes={"a": 1}))
        assert again == replace(project, attributes={"a": 1})
        pipeline = contexts.put(tx, Context(new_id(), "pipeline", "flights", 3, parent_id=project.id))
        assert contexts.get(tx, pipeline.id) == pipeline
        assert contexts.find(tx, "project", "flights") == again
        assert contexts.find(tx, "pipeline", "flights", project.id) == pipeline
        assert contexts.find(tx, "pipeline", "flights") is None
        assert contexts.list_contexts(tx) == [pipeline, again]
        assert contexts.list_contexts(tx, "pipeline", project.id) == [pipeline]
        for _ in range(2):
            contexts.attach(tx, run.id, project.id)
        assert contexts.of_run(tx, run.id) == [again]
        assert contexts.run_ids(tx, project.id) == [run.id]
    raises(database, NotFoundError, lambda tx: contexts.get(tx, "nobody"))
    raises(database, NotFoundError, lambda tx: contexts.attach(tx, run.id, "nobody"))


#: Every check. Each takes a `Database` that was just created and that nobody else uses.
CHECKS: tuple[Callable[[Database], None], ...] = (
    *(check for name, check in list(globals().items()) if name.startswith("check_")),
    *registry_contract.CHECKS,
    *labelling_contract.CHECKS,
    *study_contract.CHECKS,
)
