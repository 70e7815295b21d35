"""If these fail, a model that breaks a promise is promoted, or nobody learns by how much it fell short."""

from __future__ import annotations

import json
from dataclasses import replace

import lightgbm
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import ConfigError, GateError, UsageError
from tidemill.design import Requirement, requirements_of
from tidemill.engine.materialisers.plain import decode, encode
from tidemill.evaluation import Measurement, enforce, evaluate, gate, measurements_of
from tidemill.evaluation.behaviours import functionality
from tidemill.evaluation.metric_names import check_metric_names
from tidemill.evaluation.promises import promise_of
from tidemill.evaluation.scoring import score
from tidemill.measures import Estimate
from tidemill.registry.gates import gate_record, measurements_in, recorded_measurements
from tidemill.training.fitting import train

RANKING = Requirement("ranking", "Ranks well", "roc_auc", at_least=0.65)
RESPONSE = Requirement("response", "Answers fast", "latency_p99_ms", at_most=20, checked=("package", "production"))
PROMISES = (RANKING, RESPONSE)
PACKAGE = {"moment": "package", "metrics": {"latency_p99_ms": 3.5}}


def report(moment, value, low=None, high=None):
    return {"moment": moment, "metrics": {"roc_auc": Estimate(value, low, high, rows=100)}}


def test_a_promotion_needs_every_promise_of_its_moments():
    moments = ("evaluation", "test", "package")
    reports = [report("evaluation", 0.75, 0.74, 0.76), report("test", 0.7, 0.64, 0.76), PACKAGE]
    result = gate(moments, PROMISES, reports)
    assert result.passed
    assert [(p.name, p.moment, p.status, p.certain) for p in result.promises] == [
        ("ranking", "evaluation", "passed", True),
        ("ranking", "test", "passed", False),
        ("response", "package", "passed", False),
    ]
    assert enforce(result) is result
    for missing in range(3):
        partial = gate(moments, PROMISES, [r for place, r in enumerate(reports) if place != missing])
        assert not partial.passed
        assert [promise.status for promise in partial.broken] == ["not measured"]


def test_a_broken_promise_is_told_with_its_numbers():
    result = gate(("test", "package"), PROMISES, [report("test", 0.61, 0.59, 0.63)])
    with pytest.raises(GateError) as caught:
        enforce(result)
    message = str(caught.value)
    assert "2 of 2 requirements do not hold" in message
    assert "ranking (roc_auc >= 0.65 at test) is broken by 0.04: measured 0.61 [0.59, 0.63]" in message
    assert "response (latency_p99_ms <= 20 at package) was not measured: no report of package" in message
    assert caught.value.exit_code == 6


def test_production_promises_wait_for_production():
    assert gate("production", (RANKING,), []).note == "no requirement is checked at production"
    assert [p.name for p in gate("production", PROMISES, []).promises] == ["response"]


def test_an_undefined_metric_is_not_measured_and_says_why():
    undefined = {"moment": "test", "metrics": {"roc_auc": Estimate(None, rows=9, reason="only one class is present")}}
    promise = gate("test", PROMISES, undefined).promises[0]
    assert (promise.status, promise.reason) == ("not measured", "only one class is present")
    nan = {"moment": "test", "metrics": {"roc_auc": float("nan"), "f1": 0.5}}
    assert gate("test", PROMISES, nan).promises[0].reason == "not defined"
    other = {"moment": "test", "metrics": {"f1": 0.5}}
    assert gate("test", PROMISES, other).promises[0].reason == "the reports of test do not measure it"


def test_measured_twice_the_worse_value_counts():
    for order in ((0.7, 0.6), (0.6, 0.7)):
        result = gate("test", [RANKING], [report("test", value) for value in order])
        assert (result.passed, result.promises[0].value) == (False, 0.6)


@given(st.floats(-1, 2), st.floats(-1, 2) | st.none(), st.floats(-1, 2) | st.none())
def test_a_promise_passes_exactly_when_the_value_is_inside_its_bounds(value, low, high):
    if low is None and high is None:
        return
    found = Requirement("r", "", "x", low, high, ("test",))
    passed = gate("test", [found], Measurement("test", "x", value)).passed
    exact = (low is None or value >= low) and (high is None or value <= high)
    assert passed == exact or abs(found.margin(value)) < 1e-9


def test_the_record_of_a_version_is_json(model, flights):
    found = evaluate(model, flights.validation, importance=False, bootstrap=20)
    result = gate(("evaluation", "package"), PROMISES, [found])
    record = json.loads(json.dumps(result.by_moment(), allow_nan=False))
    check = record["evaluation"]["checks"][0]
    assert (record["evaluation"]["passed"], check["requirement"], check["bound"]) == (
        True,
        "ranking",
        "roc_auc >= 0.65",
    )
    assert check["value"] == found.metrics["roc_auc"].value
    assert record["package"] == {"passed": False, "checks": [record["package"]["checks"][0]]}
    assert decode(json.loads(json.dumps(encode(result)))) == result


def test_measurements_are_found_in_mappings_and_lists():
    stored = {"moment": "test", "metrics": {"roc_auc": {"value": 0.7, "low": 0.6, "high": 0.8, "rows": 5}}}
    assert measurements_of([[stored], PACKAGE]) == (
        Measurement("test", "roc_auc", 0.7, 0.6, 0.8, 5),
        Measurement("package", "latency_p99_ms", 3.5),
    )
    with pytest.raises(UsageError, match="holds no measurements: 'int'"):
        measurements_of(3)
    with pytest.raises(UsageError, match="no such moment: 'promotion'"):
        gate("promotion", PROMISES, [])


def evaluation_of(model, flights, **options):
    return evaluate(model, flights.validation, importance=False, discover=False, bootstrap=40, **options)


def at_evaluation(metric="roc_auc", **options):
    return Requirement("r", "", metric, checked=("evaluation",), **options)


def test_a_promise_for_certain_is_of_the_end_of_the_interval():
    measured = Measurement("evaluation", "roc_auc", 0.66, 0.64, 0.68)
    assert gate("evaluation", [at_evaluation(at_least=0.65)], measured).passed
    certain = gate("evaluation", [at_evaluation(at_least=0.65, certain=True)], measured)
    assert (certain.passed, certain.promises[0].margin) == (False, -0.01)
    assert "roc_auc >= 0.65 for certain" in certain.promises[0].sentence
    bare = gate("evaluation", [at_evaluation(at_least=0.65, certain=True)], Measurement("evaluation", "roc_auc", 0.9))
    assert (bare.promises[0].status, bare.promises[0].reason) == (
        "not measured",
        "it has no interval, and must be certain",
    )


def test_a_promise_of_each_slice_is_broken_by_the_worst(model, flights):
    found = evaluation_of(model, flights, slices=["carrier"])
    areas = {s.value: s.metrics["roc_auc"].value for s in found.slices if s.metrics["roc_auc"].value is not None}
    worst = min(areas, key=areas.get)
    promise = gate("evaluation", [at_evaluation(at_least=0.99, slice="carrier")], found).promises[0]
    assert (promise.status, promise.at, promise.value) == ("failed", worst, areas[worst])
    assert f"on carrier {worst}: measured" in promise.sentence
    assert gate("evaluation", [at_evaluation(at_least=0.01, slice="carrier")], found).passed
    missing = gate("evaluation", [at_evaluation(at_least=0.5, slice="hour")], found).promises[0]
    assert (missing.status, missing.reason) == (
        "not measured",
        'the reports of evaluation do not measure it by hour: pass slices=["hour"]',
    )


def test_any_metric_can_be_promised_on_each_slice(model, flights):
    wanted = at_evaluation("recall", at_least=0.01, slice="carrier")
    bare = gate("evaluation", [wanted], evaluation_of(model, flights, slices=["carrier"])).promises[0]
    assert bare.reason == 'the reports of evaluation measure others by carrier: pass metrics=["recall"]'
    found = evaluation_of(model, flights, slices=["carrier"], metrics=["recall"])
    assert list(found.slices[0].metrics) == ["roc_auc", "average_precision", "brier", "recall"]
    recalls = [s.metrics["recall"].value for s in found.slices if s.metrics["recall"].value is not None]
    assert gate("evaluation", [wanted], found).promises[0].value == min(recalls)


def test_a_promise_to_beat_another_is_of_the_improvement(model, flights):
    alone = evaluation_of(model, flights)
    beats = at_evaluation(better_than="champion", certain=True)
    nobody = gate("evaluation", [beats], alone).promises[0]
    assert nobody.reason == "no report of evaluation compares it with champion: pass the model as against="
    same = evaluation_of(model, flights, against=model)
    for certain in (False, True):
        equal = gate("evaluation", [at_evaluation(better_than="champion", certain=certain)], same).promises[0]
        assert (equal.status, equal.value, equal.margin, equal.against) == ("failed", 0, 0, "champion")
        assert "is broken: equal is not better: measured 0 [0, 0]" in equal.sentence
        assert gate("evaluation", [at_evaluation(better_than="champion", certain=certain, at_least=0)], same).passed
    constant = gate("evaluation", [at_evaluation(better_than="constant", at_least=0.1, relative=True)], alone)
    area = alone.metrics["roc_auc"].value
    assert constant.promises[0].value == pytest.approx((area - 0.5) / 0.5)
    other = gate("evaluation", [at_evaluation("brier", better_than="baselines")], alone).promises[0]
    assert other.reason == "the reports of evaluation compare it with baselines in roc_auc only"
    each = gate("evaluation", [at_evaluation(better_than="baselines")], alone).promises[0]
    gains = [c.difference.value for c in alone.comparisons if c.kind == "baseline"]
    assert each.value == min(gains)


def test_an_improvement_for_certain_is_above_zero_with_its_whole_interval():
    wanted = at_evaluation(better_than="champion", certain=True)
    touching = Measurement("evaluation", "roc_auc", 0.01, 0.0, 0.02, against="old", kind="model")
    promise = gate("evaluation", [wanted], touching).promises[0]
    assert promise.status == "failed"
    assert "is broken: the interval holds zero: measured 0.01 [0, 0.02]" in promise.sentence
    assert gate("evaluation", [wanted], replace(touching, low=0.001)).passed
    assert gate("evaluation", [replace(wanted, certain=False)], touching).passed


def test_a_promise_to_beat_a_baseline_on_each_slice_is_measured(model, flights):
    sliced = evaluation_of(model, flights, slices=["carrier"])
    promise = gate("evaluation", [at_evaluation(better_than="constant", slice="carrier")], sliced).promises[0]
    gains = {c.at: c.difference.value for c in sliced.comparisons if (c.by, c.other) == ("carrier", "constant")}
    assert set(gains) == {"B6", "EV", "OO", "UA"}
    assert gains.pop("OO") is None  # too few rows
    assert (promise.status, promise.at, promise.value) == ("passed", min(gains, key=gains.get), min(gains.values()))
    every = gate("evaluation", [at_evaluation(better_than="baseline", slice="carrier", at_least=0.4)], sliced)
    assert every.promises[0].status == "failed"
    other = gate("evaluation", [at_evaluation(better_than="baselines", slice="hour")], sliced).promises[0]
    assert other.reason == 'the reports of evaluation do not compare it by hour: pass slices=["hour"]'
    whole = functionality(score(model, flights.validation), sliced.comparisons, sliced.slices)
    assert len([check for check in whole if check.name == "beats_constant"]) == 1


def test_less_is_better_where_a_metric_is_a_loss(model, flights):
    shallow = train(lambda p: lightgbm.LGBMClassifier(n_estimators=1, num_leaves=2), {}, flights, baselines=False)
    found = evaluation_of(model, flights, against=shallow)
    promise = gate("evaluation", [at_evaluation("log_loss", better_than="champion", certain=True)], found).promises[0]
    assert promise.status == "passed"
    assert promise.value > 0
    assert promise.low <= promise.value <= promise.high


def test_a_gate_is_read_again_from_its_record_with_slices_and_comparisons(model, flights):
    wanted = [at_evaluation(at_least=0.99, slice="carrier"), at_evaluation(better_than="constant")]
    measured = measurements_in([evaluation_of(model, flights, slices=["carrier"])])
    record = json.loads(json.dumps(gate_record(measured, wanted)))
    again = gate("evaluation", wanted, recorded_measurements(record))
    assert [promise.status for promise in again.promises] == ["failed", "passed"]
    assert [promise_of(kept) for kept in record["promises"]] == list(again.promises)
    old = {key: value for key, value in record["promises"][0].items() if key not in ("against", "where", "at")}
    assert promise_of(old).name == "r"


def test_a_gate_that_was_passed_is_evidence_by_itself(model, flights):
    shallow = train(lambda p: lightgbm.LGBMClassifier(n_estimators=1, num_leaves=2), {}, flights, baselines=False)
    wanted = [at_evaluation(better_than=other) for other in ("champion", "baselines", "constant", shallow.name)]
    result = gate("evaluation", wanted, evaluation_of(model, flights, against=shallow))
    assert {promise.status for promise in result.promises} == {"passed"}
    again = gate("evaluation", wanted, measurements_in([result]))
    assert [(promise.status, promise.value) for promise in again.promises] == [
        (promise.status, promise.value) for promise in result.promises
    ]


def test_a_slip_in_a_metric_is_said_before_anything_runs():
    with pytest.raises(ConfigError, match=r"'roc_acu'\. Did you mean 'roc_auc'"):
        check_metric_names([Requirement("r", "", "roc_acu", at_least=0.5)], "binary")
    with pytest.raises(ConfigError, match=r"Did you mean 'fairness\.tpr_difference\.sex'"):
        check_metric_names([Requirement("r", "", "fairness.trp_difference.sex", at_most=1)], "binary", ["sex"])
    with pytest.raises(ConfigError, match="Declare the attribute"):
        check_metric_names([Requirement("r", "", "fairness.tpr_difference.sex", at_most=1)], "binary")
    with pytest.raises(ConfigError, match="Mark a function"):
        check_metric_names([Requirement("r", "", "test.storms", at_least=1)], "binary", tests=[])
    with pytest.raises(ConfigError, match="'latency_p99'"):
        check_metric_names([Requirement("r", "", "latency_p99", at_most=1)], "binary")
    for called, ours in (("auc", "roc_auc"), ("AUC", "roc_auc"), ("logloss", "log_loss"), ("f1-score", "f1")):
        with pytest.raises(ConfigError, match=f"'{called}'. Did you mean '{ours}'"):
            check_metric_names([Requirement("r", "", called, at_least=0.5)], "binary")
    with pytest.raises(
        ConfigError, match=r"'rmse'\. The canvas asks a binary question.*rmse is of regression.*roc_auc"
    ):
        check_metric_names([Requirement("r", "", "rmse", at_most=3)], "binary")
    check_metric_names([Requirement("r", "", "rmse", at_most=3)])  # nobody has said the task
    good = ("roc_auc", "recall_at_10pct", "latency_p99_ms", "untouched", "cost_per_1000", "profit_of_the_year")
    check_metric_names([Requirement(name, "", name, at_least=0) for name in good], "binary")
    check_metric_names([Requirement("r", "", "test.storms", at_least=1)], None, tests=["storms"])
    assert gate("evaluation", [at_evaluation("roc_acu", at_least=0)], report("evaluation", 0.5)).promises[0].reason == (
        "the reports of evaluation do not measure it; they measure 'roc_auc'"
    )


def test_requirements_are_read_strictly():
    found = requirements_of({"r": {"metric": "roc_auc", "better_than": "champion", "certain": True}})[0]
    assert (found.better_than, found.certain, found.bound) == (
        "champion",
        True,
        "roc_auc better than champion for certain",
    )
    share = requirements_of({"r": {"metric": "rmse", "better_than": "tree", "relative": True, "at_least": 0.05}})[0]
    assert share.bound == "rmse, better than tree by >= 5 %"
    for raw, words in (
        ({"metric": "f1", "at_least": 0.5, "certain": "yes"}, "certain of .* true or false"),
        ({"metric": "f1", "at_least": 0.5, "relative": True}, "needs better_than"),
        ({"metric": "f1"}, "has no bound"),
        ({"metric": "f1", "at_least": 0.5, "slise": "x"}, "Did you mean 'slice'"),
    ):
        with pytest.raises(ConfigError, match=words):
            requirements_of({"r": raw})
