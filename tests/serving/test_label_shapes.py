"""A model with several labels is told the truth of each; what was told before a correction can still be looked up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_client import Client
from task_cases import case

import tidemill as tm
from tidemill.core.clock import VirtualClock, use_clock
from tidemill.core.errors import InvalidRequestError
from tidemill.packaging.package import Package
from tidemill.project import load_project, use_project
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.log.joining import label_coverage
from tidemill.serving.log.querying import label_history, log_labels, predictions
from tidemill.serving.log.shapes import Shape, label_text, parts_of, shape_of
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.options import ServerOptions
from tidemill.serving.predictor import Predictor
from tidemill.serving.repository import Repository
from tidemill.serving.rest.app import App

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = st.text(min_size=1, max_size=8)


@pytest.fixture(scope="module")
def several() -> Package:
    asked = case("multilabel")
    return tm.package(tm.train(asked.build, {}, asked.data, name="digits"), asked.data.test)


@pytest.fixture
def client(several: Package, tmp_path: Path) -> Iterator[Client]:
    endpoint = Endpoint.of(Predictor(several), PredictionLog(tmp_path, "digits"))
    app = App(Repository.of(endpoint), ServerOptions(log=str(tmp_path)))
    yield Client(app, tmp_path)
    app.site.close()


def ask(client: Client, rows: int = 1) -> str:
    body = {"rows": [client.app.site.endpoint("digits").predictor.example()] * rows}
    return str(client("POST", "/v1/models/digits/predict", content=json.dumps(body)).json()["request_id"])


def tell(client: Client, label: Any, **more: Any) -> Any:
    return client("POST", "/v1/labels", content=json.dumps({"labels": [{"label": label, **more}]}))


@given(st.dictionaries(NAMES, st.booleans(), min_size=1, max_size=6), st.lists(NAMES, max_size=6, unique=True))
def test_what_is_told_is_read_back(told: dict[str, bool], held: list[str]) -> None:
    assert parts_of(label_text(told)) == told
    assert parts_of(label_text(held)) == sorted(held)
    names = tuple({*told, *held})
    assert parts_of(label_text(held, Shape("multilabel", names))) == {name: name in held for name in names}


def test_each_label_of_several_has_a_column(client: Client) -> None:
    first, second, third = ask(client), ask(client), ask(client, 2)
    assert tell(client, ["prime", "even"], request_id=first).status_code == 200
    assert tell(client, {"large": 1, "prime": False}, request_id=second).status_code == 200
    assert tell(client, [], request_id=third, row=1).status_code == 200
    told = predictions(client.root, labels=True).collect()
    assert json.loads(told["prediction"][0]) == [
        name for name, share in zip(("even", "large", "prime"), told["probabilities"][0], strict=True) if share >= 0.5
    ]
    columns = ["label.even", "label.large", "label.prime"]
    assert [name for name in told.columns if name.startswith("label.")] == columns
    assert told.select(columns).rows() == [
        (True, False, True), (None, True, False), (None, None, None), (False, False, False),
    ]  # fmt: skip
    assert told["label"].to_list()[:2] == ['{"even":true,"large":false,"prime":true}', '{"large":true,"prime":false}']
    assert label_coverage(client.root, "digits").labelled == 3


@pytest.mark.parametrize(
    ("label", "complaint"),
    [
        (True, 'the model has several labels: True. Send {"even": true, "large": true, …}, or a list'),
        ("even", "the model has several labels"),
        ({"evn": True}, "the model has no such label: 'evn'. Did you mean 'even'?"),
        (["even", "odd"], "the model has no such label: 'odd'"),
        ({"even": "yes"}, "label 'even' is neither true nor false: 'yes'"),
        ({}, "there is no label"),
    ],
)
def test_a_label_of_another_shape_is_refused_with_what_was_expected(client: Client, label: Any, complaint: str) -> None:
    refused = tell(client, label, request_id=ask(client))
    assert refused.status_code == 400
    assert f"label 0: {complaint}" in refused.json()["error"]["message"]


def test_a_model_with_one_answer_takes_one_value(packaged: Package, tmp_path: Path) -> None:
    endpoint = Endpoint.of(Predictor(packaged), PredictionLog(tmp_path, "flight-delay"))
    client = Client(App(Repository.of(endpoint), ServerOptions(log=str(tmp_path))), tmp_path)
    for label in ({"late": True}, ["late"], []):
        refused = tell(client, label, request_id="a")
        assert "the model answers with one value" in refused.json()["error"]["message"]
    assert tell(client, True, request_id="a").status_code == 200
    client.app.site.close()


FLAG, GATES = Shape("binary", ("False", "True")), Shape("multiclass", ("1", "2", "C"))


@pytest.mark.parametrize(
    ("label", "shape", "text"),
    [
        (1, FLAG, "true"),
        (0.0, FLAG, "false"),
        ("False", FLAG, "false"),
        (True, Shape("anomaly"), "true"),
        ("yes", Shape("binary", ("no", "yes")), "yes"),
        (1, Shape("binary", ("1", "2")), "1"),
        (2.0, GATES, "2"),
        ("C", GATES, "C"),
        (-4, Shape("regression"), "-4"),
        ("12.5", Shape("forecasting"), "12.5"),
        (1e-7, Shape("regression"), "1e-07"),
        (Decimal("12.50"), Shape("quantile", ("0.1", "0.9")), "12.50"),
        (3, Shape("ranking"), "3"),
    ],
)
def test_a_truth_is_written_as_the_model_would_have_answered_it(label: Any, shape: Shape, text: str) -> None:
    assert label_text(label, shape) == text


@pytest.mark.parametrize(
    ("label", "shape", "complaint"),
    [
        ("maybe", FLAG, "the model answers with yes or no: 'maybe'. Send true or false."),
        (2, FLAG, "the model answers with yes or no: 2"),
        (True, Shape("binary", ("no", "yes")), "the model has no such class: True. Known: no, yes."),
        ("yse", Shape("binary", ("no", "yes")), "Did you mean 'yes'?"),
        (True, GATES, "the model has no such class"),
        (3, GATES, 'One that it has not seen yet is taken with "unseen": true (--unseen).'),
        ("late", Shape("regression"), "the model answers with a number: 'late'"),
        ("nan", Shape("regression"), "the model answers with a number"),
        ("1_000", Shape("regression"), "the model answers with a number"),
        (" 1", GATES, "the model has no such class"),
        ("1e999", Shape("regression"), "the model answers with a number"),
        (True, Shape("regression"), "the model answers with a number"),
        (["C"], GATES, "the model answers with one value"),
    ],
)
def test_a_truth_that_the_model_could_not_have_answered_is_refused(label: Any, shape: Shape, complaint: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        label_text(label, shape)
    assert complaint in str(refused.value)


def test_a_class_that_is_new_in_the_world_can_be_told_on_purpose() -> None:
    assert label_text("D", GATES, unseen=True) == "D"
    assert label_text(["late", "new"], Shape("multilabel", ("late", "warm")), unseen=True) == (
        '{"late":true,"new":true,"warm":false}'
    )
    for label, shape in (("maybe", FLAG), ("late", Shape("regression"))):
        with pytest.raises(InvalidRequestError):
            label_text(label, shape, unseen=True)


def test_versions_that_answer_different_questions_leave_open_what_the_truth_looks_like() -> None:
    assert shape_of([("binary", ("no", "yes")), ("regression", ())]) is None
    assert shape_of([]) is None
    mixed = shape_of([("binary", ("0", "1")), ("binary", ("no", "yes"))])
    assert [label_text(label, mixed) for label in (1, "yes")] == ["true", "yes"]


def test_the_store_and_the_server_refuse_the_same_labels_in_the_same_words(
    several: Package, client: Client, tmp_path: Path
) -> None:
    """A nightly job that tells labels must not be able to write what no version could have answered."""
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "sets"\n')
    project = load_project(tmp_path)
    with use_project(project):
        log_labels([{"request_id": "a", "label": 5}], "digits")
        assert not (tmp_path / ".tidemill" / "store.db").exists()
        tm.register(several)
        for label in (True, {"evn": True}, ["even", "odd"], {"even": "yes"}):
            with pytest.raises(InvalidRequestError) as refused:
                log_labels([{"request_id": "a", "label": label}], "digits")
            assert tell(client, label, request_id="a").json()["error"]["message"] == str(refused.value)
        assert log_labels([{"request_id": "a", "label": ["odd"], "unseen": True}], "digits") == 1
        assert log_labels([{"request_id": "a", "label": "as it comes"}], "not registered") == 1
    assert tell(client, ["odd"], request_id="a", unseen=True).status_code == 200
    assert "unseen takes true or false" in tell(client, ["odd"], request_id="a", unseen="yes").text


def test_tables_with_lists_and_structs_are_taken_and_models_are_kept_apart(tmp_path: Path) -> None:
    schema = {"version": 1, "variant": "", "target": "tags", "columns": []}
    for model in ("a", "b"):
        log = PredictionLog(tmp_path, model)
        for number in range(2):
            told: Any = [{"tags": ["warm"]}]
            log.append({**schema, "model": model, "digest": model}, f"{model}{number}", 10**15 + number, 1, [[]], told)
        log.close()
    log_labels(pl.DataFrame({"request_id": ["a0", "a1"], "label": [["late"], ["warm", "late"]]}), "a", root=tmp_path)
    structs = [{"x": True, "y": None}, {"x": False, "y": True}]
    log_labels(pl.DataFrame({"request_id": ["b0", "b1"], "label": structs}), "b", root=tmp_path)
    told = predictions(tmp_path, labels=True).collect().sort("request_id")
    assert told.select("label.late", "label.warm", "label.x", "label.y").rows() == [
        (True, False, None, None), (True, True, None, None), (None, None, True, None), (None, None, False, True),
    ]  # fmt: skip


def test_the_history_of_a_row_says_what_was_told_when_and_what_holds(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, "delays")
    schema = {"model": "delays", "version": 1, "variant": "", "digest": "a", "target": "late", "columns": []}
    with use_clock(VirtualClock(NOON)):
        log.append(schema, "one", 1772366400000000, 1, [[]], [{"late": True}], entities=["ann"])
    log.close()
    hours = [NOON + timedelta(hours=hour) for hour in range(6)]
    said = [(1, False, 1), (3, True, 2), (4, True, 4), (5, False, 1)]  # arrived, label, of when: the last is too late
    for arrived, label, at in said:
        with use_clock(VirtualClock(hours[arrived])):
            log_labels([{"request_id": "one", "label": label, "at": hours[at]}], "delays", root=tmp_path)
    more = [{"entity": "ann", "label": True, "at": hours[5]}, {"request_id": "?", "label": 1}]
    with use_clock(VirtualClock(hours[5])):
        log_labels(more, "delays", root=tmp_path)
    found = label_history("delays", root=tmp_path)
    assert found.select("request_id", "row", "entity", "label", "at", "arrived", "holds").rows() == [
        ("?", None, None, "1", hours[5], hours[5], None),
        ("one", 0, None, "false", hours[1], hours[1], False),
        ("one", 0, None, "false", hours[1], hours[5], False),
        ("one", 0, None, "true", hours[2], hours[3], True),
        ("one", 0, None, "true", hours[4], hours[4], False),
        ("one", 0, "ann", "true", hours[5], hours[5], False),
    ]
    (held,) = found.filter("holds").rows(named=True)
    now = predictions(tmp_path, labels=True).collect()
    assert (held["label"], held["at"]) == (now["label"][0], now["label_at"][0])
    assert label_history(root=tmp_path).height == 6
    assert label_history("delays", root=tmp_path / "nothing").height == 0
