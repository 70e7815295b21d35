"""Every question that the store is asked has an index: without one, a store of a year's runs would crawl."""

from __future__ import annotations

import pytest

from tidemill.core.records import Metric
from tidemill.store import (
    annotating,
    approvals,
    audit,
    contexts,
    executions,
    label_history,
    labelling,
    leases,
    lineage,
    migrations,
    models,
    outbox,
    runs,
    studies,
    values,
)
from tidemill.store.database import connect
from tidemill.store.statement import Statement
from tidemill.testing.building import a_run, made_by
from tidemill.testing.labelling_contract import a_queue


class Explaining:
    """A transaction that keeps the query plan of everything that it is asked."""

    dialect = "sqlite"

    def __init__(self, tx):
        self.tx = tx
        self.plans = []

    def _explain(self, statement, values):
        self.plans += [row[-1] for row in self.tx.all(Statement(f"EXPLAIN QUERY PLAN {statement.sqlite}"), **values)]

    def run(self, statement, /, **values):
        self._explain(statement, values)
        return self.tx.run(statement, **values)

    def many(self, statement, rows, /):
        self.tx.many(statement, rows)

    def one(self, statement, /, **values):
        self._explain(statement, values)
        return self.tx.one(statement, **values)

    def all(self, statement, /, **values):
        self._explain(statement, values)
        return self.tx.all(statement, **values)


@pytest.fixture
def explaining(tmp_path):
    database = connect(f"sqlite:///{tmp_path}/store.db")
    database.create(migrations.build)
    run = a_run(database)
    (artifact,) = made_by(database, run, "load")
    with database.transaction() as tx:
        event = audit.record(tx, "a", "s")
        yield Explaining(tx), run, artifact, event
    database.close()


def reserved(tx):
    models.reserve(tx, "m", 1)
    return tx


LISTS = {
    "runs": lambda tx, run, *_: runs.list_runs(tx),
    "runs of a project": lambda tx, run, *_: runs.list_runs(tx, project="p", before=run.id),
    "runs of a pipeline": lambda tx, *_: runs.list_runs(tx, pipeline="train"),
    "runs with a status": lambda tx, *_: runs.list_runs(tx, status="running"),
    "runs with everything": lambda tx, run, *_: runs.list_runs(
        tx, project="p", pipeline="q", status="running", before=run.id
    ),
    "run by prefix": lambda tx, run, *_: runs.get(tx, run.id[:20]),
    "runs that are no trials": lambda tx, *_: runs.list_runs(tx, project="p", trials=False),
    "trials of a study": lambda tx, *_: studies.trials(tx, "c"),
    "trials that were left": lambda tx, *_: studies.leave_trials(tx, "c", 1, "gone"),
    "studies of a project": lambda tx, *_: studies.generations(tx, "p", "late"),
    "children": lambda tx, run, *_: runs.children(tx, run.id),
    "finish a run": lambda tx, run, *_: runs.finish(tx, run.id, "failed", 1),
    "steps of a run": lambda tx, run, *_: executions.of_run(tx, run.id),
    "latest": lambda tx, *_: executions.latest(tx, "p", "train", "load"),
    "cached": lambda tx, *_: executions.find_cached(tx, "k"),
    "fingerprint": lambda tx, *_: executions.get_fingerprint(tx, "d"),
    "artifact": lambda tx, run, artifact, _: lineage.get_artifact(tx, artifact.digest),
    "producer": lambda tx, run, artifact, _: lineage.producer(tx, artifact.id),
    "users": lambda tx, run, artifact, _: lineage.users(tx, artifact.id),
    "outputs": lambda tx, *_: lineage.outputs(tx, "e"),
    "upstream": lambda tx, run, artifact, _: lineage.upstream(tx, artifact.id),
    "downstream": lambda tx, run, artifact, _: lineage.downstream(tx, artifact.id),
    "params": lambda tx, run, *_: values.put_params(tx, run.id, {"a": "b"}),
    "tags": lambda tx, run, *_: (values.put_tags(tx, run.id, {"a": "b"}), values.tags(tx, run.id)),
    "metrics": lambda tx, run, *_: (values.put_metrics(tx, [Metric(run.id, "a", 1)]), values.metrics(tx, run.id, "a")),
    "all metrics": lambda tx, run, *_: values.metrics(tx, run.id),
    "last metrics": lambda tx, run, *_: values.last_metrics(tx, run.id),
    "leases": lambda tx, *_: leases.release(tx, leases.renew(tx, leases.acquire(tx, "r", "o", 1), 1)),
    "expired": lambda tx, *_: leases.mark_interrupted(tx, 1e12),
    "contexts of a run": lambda tx, run, *_: contexts.of_run(tx, run.id),
    "context": lambda tx, *_: contexts.find(tx, "project", "p"),
    "contexts of a kind": lambda tx, *_: contexts.list_contexts(tx, "project"),
    "runs of a context": lambda tx, *_: contexts.run_ids(tx, "c"),
    "audit": lambda tx, run, _, event: audit.list_events(tx, before=event.id),
    "audit of a subject": lambda tx, *_: audit.list_events(tx, "s"),
    "audit of an actor": lambda tx, *_: audit.list_events(tx, actor="a"),
    "audit of an action": lambda tx, *_: audit.list_events(tx, action="a"),
    "versions": lambda tx, *_: models.list_versions(tx),
    "versions of a model": lambda tx, *_: models.list_versions(tx, "m"),
    "versions of a run": lambda tx, run, *_: models.list_versions(tx, run_id=run.id),
    "versions of an execution": lambda tx, *_: models.list_versions(tx, execution_id="e"),
    "versions of a package": lambda tx, run, artifact, _: models.list_versions(tx, package=artifact.id),
    "versions in a stage": lambda tx, *_: models.list_versions(tx, stage="staging"),
    "versions of an owner": lambda tx, *_: models.list_versions(tx, owner="ann"),
    "versions with a tag": lambda tx, *_: models.list_versions(tx, tags={"team": "ops"}),
    "a model": lambda tx, *_: models.get_model(reserved(tx), "m"),
    "models": lambda tx, *_: models.search_models(tx, after="m"),
    "models of an owner": lambda tx, *_: models.search_models(tx, owner="ann"),
    "models with a tag": lambda tx, *_: models.search_models(tx, tags={"team": None}),
    "audit about a model": lambda tx, run, _, event: audit.list_about(tx, "model:m", before=event.id),
    "approvals": lambda tx, *_: (approvals.of_version(tx, "v"), approvals.withdraw(tx, "v", "", "ann")),
    "outbox": lambda tx, *_: outbox.claim(tx, now=1, until=2),
    "retry and forget": lambda tx, *_: (outbox.retry(tx, "d", now=1), outbox.forget(tx, before=1)),
    "deliveries": lambda tx, *_: outbox.list_deliveries(tx),
    "deliveries of a webhook": lambda tx, *_: outbox.list_deliveries(tx, webhook="hook"),
    "deliveries with a status": lambda tx, *_: outbox.list_deliveries(tx, status="dead"),
    "aliases": lambda tx, *_: models.aliases(tx, "m"),
    "all aliases": lambda tx, *_: models.aliases(tx),
    "delete an alias": lambda tx, *_: models.delete_alias(tx, "m", "champion"),
}
LABELLING = {
    "queue": lambda tx, queue: labelling.get_queue(tx, queue.name),
    "tasks": lambda tx, queue: labelling.page(tx, queue.id, after=5),
    "tasks with a status": lambda tx, queue: labelling.page(tx, queue.id, status="waiting", after=5),
    "disputed tasks": lambda tx, queue: labelling.page(tx, queue.id, disputed=True, after=5),
    "flagged tasks": lambda tx, queue: labelling.page(tx, queue.id, flagged=True, after=5),
    "tasks of an annotator": lambda tx, queue: labelling.page(tx, queue.id, annotator="ann", after=5),
    "task by key": lambda tx, queue: labelling.find_task(tx, queue.id, "7"),
    "counts": lambda tx, queue: labelling.counts(tx, queue.id),
    "next task": lambda tx, queue: annotating.take(tx, queue, "ann", 3),
    "submit": lambda tx, queue: annotating.say(tx, queue, 4, "bob", "label", "a"),
    "skip": lambda tx, queue: annotating.say(tx, queue, 5, "bob", "skip"),
    "undo": lambda tx, queue: annotating.undo(tx, queue, "eve"),
    "release": lambda tx, queue: annotating.release(tx, queue, "ann"),
    "decide": lambda tx, queue: annotating.decide(tx, queue, 6, "a", "carol"),
    "reopen": lambda tx, queue: annotating.reopen(tx, queue, 8, "carol"),
    "history": lambda tx, queue: label_history.history(tx, queue.id, 1),
    "events": lambda tx, queue: label_history.events(tx, queue.id, after=3),
    "places": lambda tx, queue: label_history.places(tx, queue.id),
    "progress": lambda tx, queue: label_history.progress(tx, queue.id),
    "priorities": lambda tx, queue: labelling.set_priorities(tx, queue.id, [(1, 2.0)]),
    "batches": lambda tx, queue: labelling.batches(tx, queue.id),
}
#: What is asked about all of a queue.
WHOLE = {"counts", "places", "progress", "batches", "priorities"}
#: What was found already, values, and a table that is listed whole in its own order.
HARMLESS = ("SCAN reached", "SCAN CONSTANT ROW", "SCAN aliases")
#: Lists that are as long as what was chosen, so that sorting them costs nothing more.
SORTED = {
    "upstream", "downstream", "producer", "users", "outputs", "contexts of a run", "cached", "audit about a model",
    "versions with a tag", "models with a tag",
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_no_question_reads_a_whole_table(explaining, name):
    tx, *context = explaining
    LISTS[name](tx, *context)
    assert tx.plans
    for plan in tx.plans:
        whole = plan.startswith("SCAN") and "USING" not in plan and plan not in HARMLESS
        assert not whole, tx.plans
        if name not in SORTED:
            assert "TEMP B-TREE" not in plan, tx.plans


@pytest.mark.parametrize("name", LABELLING)
def test_no_question_about_a_queue_reads_the_whole_queue(tmp_path, name):
    database = connect(f"sqlite:///{tmp_path}/store.db")
    database.create(migrations.build)
    made = a_queue(database, 20, overlap=2)
    with database.transaction() as tx:
        annotating.say(tx, made, 1, "eve", "label", "a")
        annotating.decide(tx, made, 8, "a", "carol")
        explaining = Explaining(tx)
        LABELLING[name](explaining, made)
        assert explaining.plans
        for plan in explaining.plans:
            assert not plan.startswith("SCAN"), explaining.plans
            assert "TEMP B-TREE" not in plan, explaining.plans
            if name not in WHOLE and "label_cursors" not in plan:
                assert not plan.endswith("(queue_id=?)"), explaining.plans
    database.close()
