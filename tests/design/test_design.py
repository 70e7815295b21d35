"""If these fail, a promise of the project is read as something that nobody wrote."""

from __future__ import annotations

import tomllib

import pytest

from tidemill.core.errors import ConfigError
from tidemill.design import Canvas, Costs, Requirement, canvas_of, completeness, requirements_of
from tidemill.design.requirements import at_moments

PROJECT = tomllib.loads("""
[canvas]
value_proposition = "Gate planners know two hours before departure which arrivals will be late"
decisions = "Re-plan the gates of the riskiest 10 % of the next hours' arrivals"
costs = { false_positive = 40, false_negative = 250 }

[canvas.prediction]
task = "binary classification"
target = "late"
entity = "flight"
at = "sched_dep - 2h"
label_at = "arrived_at"

[requirements.ranking]
statement = "Ranks late flights clearly better than last month's average does"
metric = "roc_auc"
at_least = 0.65
checked = ["production", "evaluation", "test"]

[requirements.response]
metric = "latency_p99_ms"
at_most = 20
checked = ["package", "production"]

[requirements.recall]
metric = "recall"
at_least = 0.2
at_most = 0.9
""")


def test_the_canvas_of_the_design_is_read_as_written():
    canvas = canvas_of(PROJECT["canvas"])
    assert canvas.prediction.kind == "binary"
    assert (canvas.prediction.target, canvas.prediction.entity) == ("late", ("flight",))
    assert canvas.costs == Costs(40, 250)
    assert canvas.costs.to_dict()["true_positive"] == 0
    assert canvas.prose["decisions"].startswith("Re-plan")


def test_requirements_are_read_with_defaults_and_in_order():
    ranking, response, recall = requirements_of(PROJECT["requirements"])
    assert ranking.checked == ("evaluation", "test", "production")
    assert (response.at_most, response.at_least, response.statement) == (20, None, "response")
    assert recall == Requirement("recall", "recall", "recall", 0.2, 0.9)
    assert (recall.bound, recall.margin(0.85), recall.margin(0.1)) == ("0.2 <= recall <= 0.9", 0.05, -0.1)


def test_requirements_are_found_by_moment():
    found = at_moments(requirements_of(PROJECT["requirements"]), ["package", "test"])
    assert [(moment, requirement.name) for moment, requirement in found] == [
        ("test", "ranking"),
        ("test", "recall"),
        ("package", "response"),
    ]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (
            {"metrik": "roc_auc", "at_least": 1},
            r"r\] has an unknown key: 'metrik'. Did you mean 'metric'",
        ),
        ({"metric": "roc_auc"}, "has no bound"),
        ({"at_least": 0.5}, "metric of .* is missing"),
        ({"metric": "x", "at_least": "high"}, "at_least of .* should be a number: 'high'"),
        ({"metric": "x", "at_least": True}, "should be a number: True"),
        ({"metric": "x", "at_least": float("nan")}, "should be a number: nan"),
        ({"metric": "x", "at_least": 2, "at_most": 1}, "can never hold"),
        ({"metric": "x", "at_least": 2, "checked": ["prodction"]}, "'prodction'. Did you mean 'production'"),
        ({"metric": "x", "at_least": 2, "checked": []}, "list of moments"),
        ({"metric": "x", "at_least": 2, "checked": "test"}, "list of moments: 'test'"),
        ("roc_auc", "should be a table"),
    ],
)
def test_a_requirement_that_cannot_be_meant_is_refused(raw, words):
    with pytest.raises(ConfigError, match=words):
        requirements_of({"r": raw})


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"decision": "x"}, "unknown key: 'decision'. Did you mean 'decisions'"),
        ({"decisions": 3}, "should be text: 3"),
        ({"prediction": "late"}, "prediction of .* should be a table"),
        ({"prediction": {"task": "guess"}}, "task of .* is unknown: 'guess'"),
        ({"prediction": {"entity": [1]}}, "entity of"),
        ({"costs": {"false_positive": 1}}, "costs are incomplete: .'false_negative'"),
        ({"costs": {"false_positve": 1}}, "Did you mean 'false_positive'"),
    ],
)
def test_a_canvas_that_cannot_be_meant_is_refused(raw, words):
    with pytest.raises(ConfigError, match=words):
        canvas_of(raw)


def test_completeness_tells_words_from_deeds():
    requirements = requirements_of(PROJECT["requirements"])
    blocks = {b.key: b for b in completeness(canvas_of(PROJECT["canvas"]), requirements, ["flights", "weather"])}
    assert {key for key, block in blocks.items() if block.state == "bound"} == {
        "value_proposition",
        "prediction",
        "costs",
        "impact_simulation",
        "data_sources",
        "making_predictions",
        "monitoring",
    }
    assert blocks["decisions"].state == "stated"
    assert blocks["features"].state == "empty"
    assert blocks["making_predictions"].detail == "requirements response"
    assert {block.state for block in completeness(Canvas())} == {"empty"}


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("multilabel classification", "multilabel"),
        ("Quantile regression", "quantile"),
        ("ranking", "ranking"),
        ("forecast", "forecasting"),
        ("anomaly detection", "anomaly"),
    ],
)
def test_each_kind_of_question_can_be_asked_by_the_canvas(task, kind):
    assert canvas_of({"prediction": {"task": task, "target": "y"}}).prediction.kind == kind
