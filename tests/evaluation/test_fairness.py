"""If these fail, a model that treats groups differently passes for a fair one, or chance passes for injustice."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from tidemill.core.errors import ConfigError, SchemaError
from tidemill.design import Requirement
from tidemill.design.canvas import canvas_of
from tidemill.engine.materialisers.plain import decode, encode
from tidemill.evaluation import evaluate, gate
from tidemill.evaluation.fairness import fairness_metrics, fairness_names, fairness_of
from tidemill.evaluation.scoring import Scored, score


@pytest.fixture(scope="module")
def people(model, flights):
    """Rows with an attribute that the model does not know, and a threshold that selects some of each group."""
    generator = np.random.default_rng(0)
    frame = pl.concat([flights.test, flights.validation])
    sex = np.array(["f", "m", "x"])[generator.choice(3, frame.height, p=[0.5, 0.49, 0.01])]
    return frame.with_columns(sex=pl.Series(sex))


def test_rates_are_those_of_each_group(model, people):
    found = evaluate(model, people, fairness=["sex"], importance=False, bootstrap=50)
    entry = found.fairness[0]
    scored = score(model, people)
    called = scored.scores >= model.signature.threshold
    rates = {}
    for group in entry.groups:
        rows = (people["sex"] == group.value).to_numpy()
        assert group.rows == rows.sum()
        if group.value == "x":
            assert group.rates["tpr"].reason == "fewer than 30 rows"
            continue
        positive = scored.truth[rows] == 1
        rates[group.value] = called[rows][positive].mean()
        assert group.rates["selection_rate"].value == pytest.approx(called[rows].mean())
        assert group.rates["tpr"].value == pytest.approx(rates[group.value])
        assert group.rates["fpr"].value == pytest.approx(called[rows][~positive].mean())
        assert group.rates["ppv"].value == pytest.approx(positive[called[rows]].mean())
        assert sum(part.rows for part in group.calibration) == group.rows
    gap = found.metrics["fairness.tpr_difference.sex"]
    assert gap.value == pytest.approx(abs(rates["f"] - rates["m"]))
    assert gap.low < gap.value < gap.high
    assert (entry.small, entry.is_input) == (("x",), False)
    assert decode(json.loads(json.dumps(encode(found), allow_nan=False))) == found


def test_a_chance_attribute_differs_by_chance_and_a_treated_group_for_certain(model, flights):
    scored = score(model, flights.test)
    held = 0
    for seed in range(40):
        sex = np.random.default_rng(seed).choice(["f", "m"], len(scored.truth)).tolist()
        frame = scored.frame.with_columns(sex=pl.Series(sex))
        entry = fairness_of(Scored(model, frame, scored.matrix, scored.truth, scored.scores, 0), ["sex"])[0]
        low = entry.gaps["selection_rate_difference"].low
        held += low <= 0
    assert held >= 34
    late = np.where(scored.scores > np.median(scored.scores), "f", "m").tolist()
    frame = scored.frame.with_columns(sex=pl.Series(late))
    entry = fairness_of(Scored(model, frame, scored.matrix, scored.truth, scored.scores, 0), ["sex"])[0]
    assert entry.gaps["selection_rate_difference"].low > 0.1
    assert entry.ends["selection_rate"] == ("m", "f")
    assert entry.four_fifths is False


def test_a_requirement_reads_a_gap(model, people):
    found = evaluate(model, people, fairness=["sex"], importance=False, bootstrap=50)
    wanted = Requirement("fair", "", "fairness.tpr_difference.sex", at_most=0.5, checked=("evaluation",))
    assert gate("evaluation", [wanted], found).passed
    assert set(fairness_metrics(found.fairness)) == set(fairness_names("binary", "sex"))


def test_one_group_or_groups_without_positives_are_said(model, people):
    one = evaluate(model, people.with_columns(sex=pl.lit("f")), fairness=["sex"], importance=False, bootstrap=0)
    assert one.metrics["fairness.tpr_difference.sex"].reason == "fewer than two groups have enough rows"
    assert one.fairness[0].four_fifths is None
    negative = people.with_columns(late=pl.col("late") & (pl.col("sex") != "m"))
    found = evaluate(model, negative, fairness=["sex"], importance=False, bootstrap=0)
    assert found.metrics["fairness.tpr_difference.sex"].reason == "not defined in enough groups"
    assert found.metrics["fairness.fpr_difference.sex"].value is not None


def test_an_attribute_that_is_not_there_is_named(model, people):
    with pytest.raises(SchemaError, match="gender"):
        evaluate(model, people, fairness=["gender"], bootstrap=0)


def test_the_canvas_declares_attributes():
    assert canvas_of({"protected": ["sex", "age", "sex"]}).protected == ("sex", "age")
    with pytest.raises(ConfigError, match="should be a list of columns"):
        canvas_of({"protected": "sex"})
