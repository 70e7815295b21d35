"""If these fail, a model that breaks a promise is promoted, or nobody learns by how much it fell short."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import GateError, UsageError
from tidemill.design import Requirement
from tidemill.engine.materialisers.plain import decode, encode
from tidemill.evaluation import Measurement, enforce, evaluate, gate, measurements_of
from tidemill.measures import Estimate

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
