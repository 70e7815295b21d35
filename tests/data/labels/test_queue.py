"""What a labelling team would lose: tasks that vanish, labels that are overwritten, answers that no schema allows."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.core.errors import ConflictError, DataError, NotFoundError, SchemaError, UsageError
from tidemill.data.labels.queues import label_queue, label_queues
from tidemill.data.labels.schema import LabelSchema, accepted, from_mapping, parsed, to_mapping
from tidemill.store import audit

from .conftest import SCHEMAS


def test_the_same_table_twice_adds_nothing(make, reviews, store):
    queue = make()
    assert (queue.add(reviews, key="id").tasks, queue.add(reviews, key="id").known) == (4, 4)
    more = pl.concat([reviews, reviews.with_columns(id=pl.lit("new") + pl.col("id"))])
    added = queue.add(more, key="id")
    assert (added.tasks, added.known, added.repeated) == (4, 4, 0)
    assert queue.task(2).data == {"id": "r2", "text": "poor", "n": 2}
    assert (queue.task(2).key, queue.task(8).key) == ("r2", "newr4")
    with store.metadata.reading() as tx:
        actions = [event.action for event in audit.list_events(tx, "labels:class queue")]
    assert actions == ["labels.add", "labels.add", "labels.create"]


def test_rows_without_a_key_are_named_by_what_is_in_them(make, reviews):
    queue = make()
    added = queue.add(pl.concat([reviews, reviews.head(1)]))
    assert (added.tasks, added.repeated) == (4, 1)
    assert queue.add(reviews.lazy()).known == 4


def test_rows_that_cannot_be_tasks_are_refused_and_add_nothing(make, reviews):
    queue = make()
    with pytest.raises(DataError, match=r"rows 0 and 4 have the same key and differ.*'r1'"):
        queue.add(pl.concat([reviews, reviews.head(1).with_columns(n=pl.lit(9, dtype=pl.Int64))]), key="id")
    with pytest.raises(DataError, match=r"no key.*row 3"):
        queue.add(reviews, key="text")
    with pytest.raises(SchemaError, match=r"nowhere"):
        queue.add(reviews, key="nowhere")
    with pytest.raises(DataError, match=r"'picture' cannot be shown.*binary"):
        queue.add(pl.DataFrame({"picture": [b"x"]}))
    with pytest.raises(UsageError, match=r"not a table"):
        queue.add([1, 2])
    queue.add(reviews, key="id")
    with pytest.raises(DataError, match=r"task 1 has this key and other data"):
        queue.add(reviews.with_columns(n=pl.col("n") + 1), key="id")
    assert queue.progress().tasks == 4
    with pytest.raises(ConflictError, match=r"no tasks yet"):
        label_queue("empty", SCHEMAS["class"], store=queue.store).next("ann")


def test_every_type_of_a_column_can_be_looked_at(make):
    table = pl.DataFrame(
        {
            "day": [datetime(2026, 1, 2, tzinfo=UTC)],
            "share": [float("nan")],
            "tags": [["a", "b"]],
            "nested": [{"x": 1}],
            "text": ['quote " back \\ line \u2028 \x00 end'],
            "maybe": pl.Series([None], dtype=pl.Int8),
            "kind": pl.Series(["x"], dtype=pl.Categorical),
        }
    )
    queue = make(table=table)
    data = queue.next("ann").data
    assert data["text"] == 'quote " back \\ line \u2028 \x00 end'
    assert (data["tags"], data["nested"], data["maybe"], data["kind"]) == (["a", "b"], {"x": 1}, None, "x")
    assert queue.table().drop("task").equals(table, null_equal=True)


def test_a_label_is_checked_and_kept(make, reviews):
    queue = make(table=reviews, key="id")
    task = queue.next("ann")
    with pytest.raises(UsageError, match=r"not a class of this queue: 'god'. Did you mean 'good'.*good, bad"):
        queue.submit(task.number, "ann", "god")
    with pytest.raises(NotFoundError, match=r"no task of this number: 99.*1 to 4"):
        queue.submit(99, "ann", "good")
    with pytest.raises(UsageError, match=r"given by its number"):
        queue.submit(task, "ann", "good")
    with pytest.raises(UsageError, match=r"seconds"):
        queue.submit(task.number, "ann", "good", seconds=-1)
    with pytest.raises(UsageError, match=r"annotator needs a name"):
        queue.submit(task.number, " ", "good")
    queue.submit(task.number, "ann", "good", comment="plain", seconds=2.5)
    queue.submit(np.int64(task.number), "ann", "bad")
    assert [(event.value, event.comment, event.seconds) for event in queue.history(1)] == [
        ("good", "plain", 2.5),
        ("bad", "", 0.0),
    ]
    assert queue.places(1)[0].value == "bad"
    assert queue.next("ann").number == 2
    with pytest.raises(ConflictError, match=r"task 1 is not for 'bob'.*ann .labelled. came first"):
        queue.submit(1, "bob", "good")
    with pytest.raises(ConflictError, match=r"task 2 is not for 'bob'.*ann .leased. came first"):
        queue.submit(2, "bob", "good")


def test_progress_says_who_has_done_what(make, reviews):
    queue = make(table=reviews, key="id", overlap=2)
    for who, label in (("ann", "good"), ("bob", "bad")):
        queue.submit(1, who, label, seconds=1.5)
    queue.submit(2, "ann", "good", seconds=2)
    queue.skip(3, "bob", "what is this?", flag=True)
    queue.skip(4, "bob")
    queue.next("eve")
    found = queue.progress()
    assert (found.tasks, found.waiting, found.started, found.labelled, found.decided) == (4, 2, 1, 1, 0)
    assert (found.disputed, found.flagged) == (1, 1)
    by = {one.annotator: one for one in found.annotators}
    assert (by["ann"].labelled, by["ann"].seconds) == (2, 3.5)
    assert (by["bob"].labelled, by["bob"].skipped, by["bob"].flagged) == (1, 1, 1)
    assert by["eve"].leased == 1
    assert [task.number for task in queue.tasks(flagged=True)] == [3]
    assert queue.history(3)[0].comment == "what is this?"
    assert queue.agreement().observed == 0.0


def test_a_queue_is_opened_by_its_name_and_keeps_its_schema(make, reviews, store):
    made = make("number", table=reviews, guidelines="From 1 to 5.", lease="2m")
    opened = label_queue(made.name, store=store)
    assert (opened.schema, opened.guidelines) == (SCHEMAS["number"], "From 1 to 5.")
    assert label_queue(made.name, SCHEMAS["number"], store=store).progress().tasks == 4
    with pytest.raises(ConflictError, match=r"another schema"):
        label_queue(made.name, SCHEMAS["class"], store=store)
    with pytest.raises(NotFoundError, match=r"'nowhere'.*number queue"):
        label_queue("nowhere", store=store)
    assert [queue.name for queue in label_queues(store)] == [made.name]
    for wrong in ({"overlap": 0}, {"lease": "soon"}, {"lease": "0s"}):
        with pytest.raises(UsageError):
            label_queue("new", SCHEMAS["class"], store=store, **wrong)


def test_what_may_change_changes(make, reviews):
    queue = make(table=reviews, guidelines="old")
    queue.submit(1, "ann", "good")
    queue.change(guidelines="new", overlap=2, classes=["good", "bad", "unclear"], lease="1h")
    assert (queue.guidelines, queue.schema.classes) == ("new", ("good", "bad", "unclear"))
    assert queue.record.lease_seconds == 3600
    queue.submit(1, "bob", "unclear")
    assert queue.task(1).disputed
    with pytest.raises(UsageError, match=r"classes can only be added.*'good'"):
        queue.change(classes=["bad", "unclear"])


def test_the_majority_settles_what_it_can(make, reviews):
    queue = make(table=reviews, key="id", overlap=3)
    votes = {1: ["good", "good", "bad"], 2: ["bad", "bad", "bad"], 3: ["good", "bad"]}
    for number, labels in votes.items():
        for who, label in zip(("ann", "bob", "eve"), labels, strict=False):
            queue.submit(number, who, label)
    found = queue.adjudicate()
    assert {number: decision.label for number, decision in found.decisions.items()} == {1: "good"}
    assert found.decisions[1].share == pytest.approx(2 / 3)
    assert queue.adjudicate().decisions == {}
    assert (queue.task(1).status, queue.task(1).decided_by) == ("decided", "majority")
    assert queue.task(2).status == "labelled"
    queue.decide(3, "bad", by="carol", comment="asked the customer")
    assert queue.task(3).decision == "bad"
    queue.reopen(3, by="carol")
    assert queue.task(3).status == "started"
    with pytest.raises(UsageError, match=r"not a class"):
        queue.decide(4, "ugly")
    with pytest.raises(UsageError, match=r"not a way to settle"):
        queue.adjudicate("coin")


def test_equal_votes_stay_disputed_and_sets_and_numbers_are_settled_in_their_way(make, reviews):
    even = make(table=reviews, overlap=2)
    for who, label in (("ann", "good"), ("bob", "bad")):
        even.submit(1, who, label)
    assert even.adjudicate().left == (1,)
    sets = make("multi_label", table=reviews, overlap=3)
    for who, label in (("ann", ["red", "blue"]), ("bob", ["red"]), ("eve", ["green", "red"])):
        sets.submit(1, who, label)
    assert sets.adjudicate().decisions[1].label == ["red"]
    numbers = make("number", table=reviews, overlap=3)
    for who, label in (("ann", 1), ("bob", 2), ("eve", 5)):
        numbers.submit(1, who, label)
    assert numbers.adjudicate().decisions[1].label == 2.0
    with pytest.raises(UsageError, match=r"one class only"):
        numbers.adjudicate("dawid_skene")


def test_those_who_are_right_more_often_count_for_more(make):
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, 60)
    queue = make(table=pl.DataFrame({"n": range(60)}), overlap=4)
    for who, accuracy in (("ann", 0.95), ("bob", 0.9), ("eve", 0.55), ("dan", 0.5)):
        right = rng.random(60) < accuracy
        for number in range(60):
            label = truth[number] if right[number] else 1 - truth[number]
            queue.submit(number + 1, who, ("good", "bad")[label])
    found = queue.adjudicate("dawid_skene", at_least=0.6)
    assert found.accuracies["ann"] > 0.85 > 0.75 > found.accuracies["dan"]
    right = [("good", "bad")[truth[number - 1]] == decision.label for number, decision in found.decisions.items()]
    assert len(right) > 20
    assert np.mean(right) > 0.85


def test_what_a_model_is_least_sure_of_comes_first(make, reviews):
    queue = make(table=reviews, key="id")
    queue.submit(2, "ann", "good")
    assert queue.table("waiting")["task"].to_list() == [1, 3, 4]
    assert queue.prioritise([0.9, 0.55, 0.2]) == 3
    assert [task.number for task in queue.take("bob", 3)] == [3, 4, 1]
    assert queue.prioritise([[0.2, 0.8], [0.5, 0.5]], tasks=[3, 4], features=[[0.0], [1.0]]) == 2
    with pytest.raises(DataError, match=r"3 tasks and probabilities of 2"):
        queue.prioritise([0.1, 0.2])
    with pytest.raises(NotFoundError, match=r"99"):
        queue.prioritise([0.1], tasks=[99])
    with pytest.raises(DataError, match=r"none negative or missing"):
        queue.prioritise([float("nan"), 0.1, 0.2])


values = {
    "class": st.sampled_from(["good", "bad"]),
    "multi_label": st.lists(st.sampled_from(["red", "green", "blue"])),
    "number": st.one_of(st.integers(1, 5), st.floats(1, 5), st.integers(1, 5).map(str)),
}


@settings(suppress_health_check=[HealthCheck.differing_executors])
@given(data=st.data(), kind=st.sampled_from(list(values)))
def test_a_label_that_is_accepted_is_accepted_again_as_it_is(data, kind):
    schema = SCHEMAS[kind]
    once = accepted(schema, data.draw(values[kind]))
    assert accepted(schema, once) == once
    assert from_mapping(to_mapping(schema)) == schema
    text = ",".join(once) if kind == "multi_label" else str(once)
    assert parsed(schema, text) == once


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        ("number", 6, "out of range: 6. Give a number from 1 to 5"),
        ("number", "many", "not a number: 'many'"),
        ("number", float("nan"), "not a number"),
        ("number", True, "not a number: True"),
        ("number", None, "not a number"),
        ("class", ["good"], "not a class"),
        ("class", "", "not a class"),
        ("multi_label", "red", r"given as a list: 'red'. Write \['red'\]"),
        ("multi_label", ["red", "pink"], "not a class of this queue: 'pink'"),
        ("multi_label", 3, "given as a list"),
    ],
)
def test_a_label_that_the_schema_does_not_allow_is_refused(kind, wrong, message):
    with pytest.raises(UsageError, match=message):
        accepted(SCHEMAS[kind], wrong)


@pytest.mark.parametrize(
    "arguments",
    [
        {"classes": ("only",)},
        {"classes": ("a", "a")},
        {"classes": ("a", " ")},
        {"classes": "ab"},
        {"multiple": True},
        {"classes": ("a", "b"), "minimum": 1},
        {"minimum": 3, "maximum": 3},
    ],
)
def test_a_schema_with_nothing_to_choose_is_refused(arguments):
    with pytest.raises(UsageError):
        LabelSchema(**arguments)
