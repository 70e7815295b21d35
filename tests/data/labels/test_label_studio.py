"""A team that comes from Label Studio, or goes there, must not lose a label on the way."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.core.errors import DataError
from tidemill.data.labels.label_studio import (
    export_label_studio,
    import_label_studio,
    label_config,
    read_label_studio,
    schema_of,
    to_label_studio,
)
from tidemill.data.labels.queues import label_queue
from tidemill.store import open_store

from .conftest import SCHEMAS


def answer(kind, value, **more):
    return {
        "result": [{"id": "x", "from_name": "sentiment", "to_name": "text", "type": kind, "value": {kind: value}}],
        **more,
    }


def one(*annotations, predictions=()):
    return [{"id": 5, "data": {"x": 1}, "annotations": list(annotations), "predictions": list(predictions)}]


#: As Label Studio 1.x writes it, with fields that nobody here reads.
EXPORT = [
    {
        "id": 41,
        "data": {"text": "I love it", "n": 1},
        "annotations": [
            answer("choices", ["good"], id=7, completed_by=3, was_cancelled=False, ground_truth=False, lead_time=4.25,
                   created_at="2026-01-02T03:04:05.000006Z", unique_id="u", prediction={}, result_count=1),
            answer("choices", ["bad"], id=8, completed_by={"id": 4, "email": "bob@example.org"}, lead_time=None),
            {"id": 9, "completed_by": 5, "was_cancelled": True, "result": []},
        ],
        "predictions": [answer("choices", ["good"], model_version="v1", score=0.875)],
        "meta": {}, "drafts": [], "inner_id": 1, "total_annotations": 2,
    },
    {"id": 42, "data": {"text": "No", "n": 2}, "annotations": [
        answer("choices", ["bad"], completed_by="eve", ground_truth=True)]},
    {"id": 43, "data": {"text": "Hm", "n": 3}, "annotations": []},
]  # fmt: skip


def test_an_export_is_read_with_all_that_was_said(make):
    queue = make()
    found = import_label_studio(queue, EXPORT)
    assert (found.tasks, found.labels, found.skips, found.decisions, found.suggestions) == (3, 2, 1, 1, 1)
    events = {event.annotator: event for event in queue.history(1)}
    assert events["user 3"].value == "good"
    assert (events["user 3"].seconds, events["user 3"].at) == (4.25, 1_767_323_045_000_006)
    assert events["bob@example.org"].value == "bad"
    assert events["user 5"].action == "skip"
    assert (events["v1"].action, events["v1"].score) == ("suggest", 0.875)
    assert (queue.task(2).decision, queue.task(2).decided_by) == ("bad", "eve")
    again = import_label_studio(queue, EXPORT)
    assert {again.tasks, again.labels, again.skips, again.decisions, again.suggestions} == {0}
    assert queue.record.events == 5


def test_the_schema_is_what_the_answers_are():
    assert schema_of(read_label_studio(EXPORT)).classes == ("good", "bad")
    several = [{"data": {"x": 1}, "annotations": [answer("choices", ["a", "b"])]}]
    assert schema_of(read_label_studio(several)).kind == "multi_label"
    assert schema_of(read_label_studio([{"data": {"x": 1}, "annotations": [answer("rating", 4)]}])).kind == "number"
    tree = [{"data": {"x": 1}, "annotations": [answer("taxonomy", [["animal", "cat"], ["plant"]])]}]
    assert schema_of(read_label_studio(tree)).classes == ("animal / cat", "plant")
    with pytest.raises(DataError, match="does not say what a label is"):
        schema_of(read_label_studio([{"data": {"x": 1}}]))


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"data": {}}, "list of tasks"),
        (["text"], "the 1. task is not an object"),
        ([{"id": 5, "text": "flat", "label": "good"}], r"task 5 has no data.*JSON-MIN"),
        ([{"id": 5, "data": {"x": 1}, "annotations": {}}, {"id": 6, "data": {}}], "task 6 has no data"),
        ([{"id": 5, "data": {"x": 1}, "annotations": [3]}], "annotations of task 5 are not a list"),
        (one(answer("choices", "good")), "task 5 has no choices: 'good'"),
        (one(answer("number", "4")), "task 5 is not a number"),
        (one(answer("labels", ["PER"])), "labels parts of the task"),
        (one(answer("choices", ["ugly"])), "answer of task 5 does not fit"),
        (one(answer("choices", ["good", "bad"])), "one class is needed"),
        (one(answer("rating", 3)), "task 5 does not fit"),
        (one(answer("choices", ["good"], created_at="soon")), "task 5 has no time"),
        (one(answer("choices", ["good"], lead_time="long")), "number of seconds"),
        (one(predictions=[answer("choices", ["good"], score="high")]), "score that is no number"),
        ([{"id": 5, "data": {"x": 1}}, {"id": 6, "data": {"x": "one"}}], "not one table"),
    ],
)  # fmt: skip
def test_a_bad_file_names_the_task_and_imports_nothing(make, tasks, message):
    queue = make()
    with pytest.raises(DataError, match=message):
        import_label_studio(queue, tasks)
    assert (queue.progress().tasks, queue.record.events) == (0, 0)


def test_several_controls_need_a_choice(make):
    both = {
        "result": [
            *answer("choices", ["good"])["result"],
            {"from_name": "other", "type": "number", "value": {"number": 1}},
        ]
    }
    tasks = [{"id": 5, "data": {"x": 1}, "annotations": [both]}]
    with pytest.raises(DataError, match=r"task 5 has several controls: \['other', 'sentiment'\]"):
        read_label_studio(tasks)
    assert read_label_studio(tasks, "sentiment")[0].answers[0].value == ["good"]
    assert import_label_studio(make(), tasks, control="sentiment").labels == 1


def test_a_file_that_is_not_json_says_so(make, tmp_path):
    (tmp_path / "tasks.json").write_text("[{")
    with pytest.raises(DataError, match="not JSON"):
        import_label_studio(make(), tmp_path / "tasks.json")


values = {
    "class": st.sampled_from(["good", "bad"]),
    "multi_label": st.lists(st.sampled_from(["red", "green", "blue"])),
    "number": st.floats(1, 5),
}
texts = st.text(st.characters(codec="utf-8"), max_size=5)
said = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["ann", "bob@x", "Ωμ"]), st.booleans()), max_size=8)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    kind=st.sampled_from(list(values)),
    said=said,
    text=st.text(st.characters(codec="utf-8"), max_size=5),
)
def test_what_goes_out_comes_back(tmp_path_factory, data, kind, said, text):
    folder = tmp_path_factory.mktemp("studio")
    with open_store(f"sqlite:///{folder}/store.db", str(folder / "artifacts")) as store:
        first = label_queue("first", SCHEMAS[kind], store=store, overlap=3)
        import_label_studio(first, [{"data": {"text": text, "n": n}} for n in range(3)])
        for number, who, skips in said:
            if skips:
                first.skip(number, who)
            else:
                first.submit(number, who, data.draw(values[kind]), seconds=1.5)
        if said:
            first.decide(said[0][0], data.draw(values[kind]), by="carol")
        export_label_studio(first, folder / "out.json")
        second = label_queue("second", SCHEMAS[kind], store=store)
        import_label_studio(second, folder / "out.json")
        exported, imported = to_label_studio(first), to_label_studio(second)
    for task, other in zip(exported, imported, strict=True):
        assert {**task, "annotations": sorted_by_author(task)} == {**other, "annotations": sorted_by_author(other)}


def sorted_by_author(task):
    """Annotations without the time of a decision, which is that of the import."""
    return sorted(
        ({**one, "created_at": one["ground_truth"] or one["created_at"]} for one in task["annotations"]),
        key=lambda one: (one["completed_by"]["email"], one["ground_truth"]),
    )


@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_the_interface_is_xml_that_names_every_column_and_class(kind):
    text = label_config(SCHEMAS[kind], ["text", 'odd "name" <&>'], 'say "why" & <how>\n')
    tree = ET.fromstring(text)
    assert tree.find("Header").get("value") == 'say "why" & <how>'
    assert [one.get("value") for one in tree.findall("Text")] == ["$text", '$odd "name" <&>']
    assert [one.get("value") for one in tree.iter("Choice")] == list(SCHEMAS[kind].classes)
    control = tree.find("Number") if kind == "number" else tree.find("Choices")
    assert (control.get("name"), control.get("toName")) == ("label", "column1")
