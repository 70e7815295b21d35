"""If these fail, a kind of question that is promised cannot be asked from training to the served answer."""

from __future__ import annotations

import json

import numpy as np
import pytest
from task_cases import case

import tidemill as tm
from tidemill.core.tasks import TASKS
from tidemill.measures import metrics_of, roc_auc
from tidemill.packaging.package import model_of, open_folder
from tidemill.serving.decisions import compile_decision
from tidemill.serving.predictor import Predictor
from tidemill.serving.tensors import outputs_of
from tidemill.training.baselines import baseline_scores
from tidemill.training.prediction import encoded

BASELINES = {
    "forecasting": ["constant", "last_value", "seasonal_naive", "linear", "tree"],
    "ranking": ["constant", "popularity", "linear", "tree"],
    "anomaly": ["constant", "distance"],
}


@pytest.fixture(scope="module")
def models():
    made = {}

    def model_for(task):
        if task not in made:
            asked = case(task)
            made[task] = tm.train(asked.build, {}, asked.data, **asked.options)
        return made[task]

    return model_for


@pytest.mark.parametrize("task", TASKS)
def test_a_model_is_trained_with_its_baselines_and_beats_the_constant(models, task):
    model, data = models(task), case(task).data
    signature = model.signature
    assert signature.task == task
    assert json.loads(json.dumps([model.metadata, model.profile, signature.to_dict()], allow_nan=False))
    assert type(signature).from_dict(json.loads(json.dumps(signature.to_dict()))) == signature
    table = metrics_of(task, signature.levels)
    leading = next(iter(table))
    assert set(table) >= set(model.metrics) > {leading}
    baselines = {entry["name"]: entry for entry in model.metadata["baselines"]}
    assert list(baselines) == BASELINES.get(task, ["constant", "linear", "tree"])
    assert table[leading].better(model.metrics[leading], baselines["constant"]["metrics"][leading])
    answers = tm.predict(model, data.validation)
    shape = (
        (data.validation.height,) if TASKS[task].scores == "one" else (data.validation.height, len(signature.classes))
    )
    assert answers.shape == shape
    for entry in baselines.values():
        assert baseline_scores(entry, encoded(model, data.validation)).shape == shape


@pytest.mark.parametrize("task", TASKS)
def test_a_model_is_evaluated_examined_and_compared(models, task):
    model, data = models(task), case(task).data
    found = tm.evaluate(model, data.validation, bootstrap=30, against=model)
    assert list(found.metrics) == list(metrics_of(task, model.signature.levels))
    for name, value in found.metrics.items():
        assert value.low <= value.high, name
        assert value.value == pytest.approx(model.metrics[name])
    assert found.comparisons[-1].difference.value == 0
    assert len(found.importance) == len(model.signature.inputs)
    examination = tm.test(model, data.test, bootstrap=30)
    failed = [check.name for check in examination.behaviours if not check.passed and check.kind == "invariance"]
    assert not failed


@pytest.mark.parametrize("task", TASKS)
def test_a_package_answers_as_the_model_does_in_both_engines(models, task, tmp_path):
    model, data = models(task), case(task).data
    package = tm.package(model, data.validation)
    assert package.manifest["parity"]["verified"], package.manifest["parity"]
    opened = open_folder(package.write(tmp_path / "model"))
    np.testing.assert_allclose(tm.predict(model_of(opened), data.test), tm.predict(model, data.test), atol=1e-9)
    rows = data.test.head(20).to_dicts()
    expected = tm.predict(model, data.test.head(20))
    decide = compile_decision(model.signature)
    for engine in ("native", "onnx"):
        predictor = Predictor(opened, engine=engine, policy=None)
        rows = [{name: row[name] for name in model.signature.inputs.names} for row in rows]
        for answers in (predictor.predict(rows), [predictor.predict(row) for row in rows]):
            for told, score in zip(answers, expected, strict=True):
                wanted = decide(score.tolist())
                assert set(wanted) <= set(told)
                for key, value in wanted.items():
                    if isinstance(value, dict | float):
                        assert told[key] == pytest.approx(value, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_a_second_training_gives_the_same_model(models, task):
    asked = case(task)
    again = tm.train(asked.build, {}, asked.data, **asked.options)
    assert str(tm.same_model(models(task), again)) == "the models are the same"


@pytest.mark.parametrize("task", TASKS)
def test_the_open_inference_protocol_has_a_tensor_for_each_part_of_an_answer(models, task):
    signature = models(task).signature
    answer = compile_decision(signature)([0.5] * len(signature.classes) if TASKS[task].scores != "one" else 0.5)
    outputs = [output.to_dict() for output in outputs_of(signature)]
    assert {output["name"] for output in outputs} <= set(answer)
    for output in outputs:
        if len(output["shape"]) == 2:
            assert set(output["parameters"]["columns"]) <= set(answer[output["name"]])


@pytest.mark.parametrize("task", TASKS)
def test_drift_is_watched_against_the_profile(models, task):
    model, data = models(task), case(task).data
    report = tm.drift(model, data.test)
    columns = {entry.column for entry in report.columns}
    assert columns == set(model.signature.inputs.names)
    assert (report.prediction is None) == (task == "multilabel")


@pytest.mark.parametrize("task", TASKS)
def test_tuning_looks_for_the_leading_metric(task):
    asked = case(task)
    options = {"n_estimators": tm.integers(2, 6)} if task != "anomaly" else {"bootstrap": tm.choice([True, False])}
    study = tm.tune(asked.build, options, asked.data, trials=2, task=asked.options.get("task"))
    assert study.metric == next(iter(metrics_of(task, (0.1, 0.5, 0.9))))
    assert {trial.state for trial in study.trials} == {"complete"}


def test_quantiles_do_not_cross_and_hold_what_they_say(models):
    model, data = models("quantile"), case("quantile").data
    answers = tm.predict(model, data.test)
    assert (np.diff(answers, axis=1) >= 0).all()
    assert model.signature.classes == ("0.1", "0.5", "0.9")
    assert model.metrics["crossing"] == 0
    assert 0.5 < model.metrics["coverage"] < 1


def test_labels_are_learned_each_by_its_own_estimator(models):
    model, data = models("multilabel"), case("multilabel").data
    assert model.signature.classes == ("even", "large", "prime")
    assert len(model.estimator.members) == 3
    even = data.test["sets"].list.contains("even").to_numpy()
    assert roc_auc(even, tm.predict(model, data.test)[:, 0]) > 0.95
