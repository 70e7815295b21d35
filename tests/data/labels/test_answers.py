"""A model is trained on what comes out here: a label too many, a stale one or a wrong row would be learned."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidemill as tm
from tidemill.core.errors import ConflictError, NotFoundError, UsageError
from tidemill.data.labels.answers import answers_table, pin, read_labels, replayed
from tidemill.data.labels.exports import record_export
from tidemill.project import load_project, open_project_store, use_project
from tidemill.store import annotating, label_history, labelling, lineage, migrations
from tidemill.store.database import connect
from tidemill.testing.labelling_contract import a_queue


def table_of(queue, **options):
    return answers_table(queue.store, *pin(queue.store, queue.name), **options)


def test_the_rows_are_those_of_the_table_with_their_types_and_labels(make, reviews):
    queue = make(table=reviews.with_columns(pl.col("n").cast(pl.UInt8)), key="id", overlap=2)
    queue.add(pl.DataFrame({"id": ["late"], "text": ["x"], "extra": [True]}), key="id")
    for number, labels in {1: "good good", 2: "good bad", 3: "bad", 5: "bad bad"}.items():
        for who, label in zip(("ann", "bob"), labels.split(), strict=False):
            queue.submit(number, who, label)
    queue.decide(4, "good", by="carol")
    found = table_of(queue)
    assert found["id"].to_list() == ["r1", "r2", "r4", "late"]
    assert found.schema["n"] == pl.UInt8
    assert found["extra"].to_list() == [None, None, None, True]
    assert found["label"].to_list() == ["good", None, "good", "bad"]
    assert found["label_source"].to_list() == ["annotators", None, "carol", "annotators"]
    assert found["label_count"].to_list() == [2, 2, 0, 2]
    assert found["label_agreement"].to_list() == [1.0, None, None, 1.0]
    assert table_of(queue, partial=True)["id"].to_list() == ["r1", "r2", "r3", "r4", "late"]
    queue.decide(2, "bad", by="carol")
    assert table_of(queue, into="late").filter(id="r2").select("late", "late_agreement").row(0) == ("bad", 0.5)
    with pytest.raises(UsageError, match="column of this name: 'text'"):
        table_of(queue, into="text")


def test_a_queue_without_labels_is_an_empty_table_of_the_right_columns(make, reviews):
    queue = make("multi_label", table=reviews)
    assert table_of(queue).schema["label"] == pl.List(pl.String)
    assert table_of(queue).height == 0
    assert table_of(make("number")).schema["label"] == pl.Float64


actions = st.tuples(
    st.sampled_from(["label a", "label b", "skip", "flag", "undo", "decide", "reopen"]),
    st.sampled_from(["ann", "bob"]),
    st.integers(1, 3),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(actions, max_size=25))
def test_what_the_events_say_is_what_the_queue_holds(tmp_path_factory, said):
    """The table is made from the events up to a moment: they must tell the same as the queue itself."""
    database = connect(f"sqlite:///{tmp_path_factory.mktemp('events')}/store.db")
    database.create(migrations.build)
    made = a_queue(database, 3, overlap=2)
    for action, who, number in said:
        word, _, value = action.partition(" ")
        try:
            with database.transaction() as tx:
                queue = labelling.lock(tx, made.id)
                if word == "undo":
                    annotating.undo(tx, queue, who)
                elif word == "decide":
                    annotating.decide(tx, queue, number, "a", who)
                elif word == "reopen":
                    annotating.reopen(tx, queue, number, who)
                else:
                    annotating.say(tx, queue, number, who, word, value or None)
        except (ConflictError, NotFoundError):
            continue
    with database.reading() as tx:
        standing = replayed(label_history.events(tx, made.id))
        held = {
            (place.number, place.annotator): place.value
            for place in label_history.places(tx, made.id)
            if place.state == "labelled"
        }
        decided = {
            task.number: (task.decision, task.decided_by)
            for task in labelling.all_tasks(tx, made.id)
            if task.status == "decided"
        }
    database.close()
    assert held == {(number, who): label for number, one in standing.items() for who, label in one.labels.items()}
    assert decided == {number: one.decision for number, one in standing.items() if one.decision is not None}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "labelling"\n')
    project = load_project(tmp_path)
    with use_project(project):
        yield project


@tm.pipeline
def learn() -> int:
    return counted(read_labels("reviews"))


@tm.step
def counted(rows: pl.DataFrame) -> int:
    return rows.height


def test_a_pipeline_runs_again_when_there_are_new_labels_and_knows_where_they_came_from(project, reviews):
    queue = tm.label_queue("reviews", tm.LabelSchema(("good", "bad")))
    queue.add(reviews, key="id")
    queue.submit(1, "ann", "good")
    first = learn.run()
    assert first.result == 1
    again = learn.run()
    assert [step.status for step in again.steps] == ["cached", "cached"]
    queue.submit(2, "bob", "bad")
    assert learn.run().result == 2
    queue.change(overlap=2)
    assert learn.run().result == 0
    store = open_project_store(project)
    _, (table,) = pin(store, "reviews")
    with store.metadata.reading() as tx:
        assert {edge.step for edge in lineage.downstream(tx, table.id)} == {"read_labels", "counted"}


def test_an_export_is_recorded_with_the_tables_that_it_came_from(project, reviews):
    queue = tm.label_queue("reviews", tm.LabelSchema(("good", "bad")))
    queue.add(reviews, key="id")
    queue.submit(1, "ann", "good")
    store = open_project_store(project)
    pinned, tables = pin(store, "reviews")
    artifact = record_export(store, project, pinned, tables, answers_table(store, pinned, tables))
    with store.metadata.reading() as tx:
        assert tables[0].id in {edge.artifact_id for edge in lineage.upstream(tx, artifact.id)}


def test_the_labels_can_be_learned_from(project):
    queue = tm.label_queue("many", tm.LabelSchema(("good", "bad")))
    queue.add(pl.DataFrame({"n": range(40)}))
    for number in range(1, 41):
        queue.submit(number, "ann", "good" if number % 3 else "bad")
    splits = tm.split(tm.read_labels("many"), tm.by_share(seed=1), "label", features=["n"])
    assert splits.train.height + splits.validation.height + splits.test.height == 40
    assert set(splits.train["label"]) == {"good", "bad"}


def test_a_parameter_that_is_spelled_wrongly_is_not_swallowed(project):
    with pytest.raises(UsageError, match="no such parameter: 'partal'"):
        tm.read_labels("reviews", partal=True)
