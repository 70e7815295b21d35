"""A label model that trusts the wrong rules teaches a model to be wrong."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import ConfigError, DataError, UsageError
from tidemill.data.labels.choosing import most_uncertain, uncertainties
from tidemill.data.labels.weak import LabellingFunction, dawid_skene, majority, weak_labels


def votes_of(truth, accuracies, coverage, rng, labels=3):
    wrong = (truth[:, None] + rng.integers(1, labels, (len(truth), len(accuracies)))) % labels
    votes = np.where(rng.random(wrong.shape) < accuracies, truth[:, None], wrong)
    return np.where(rng.random(wrong.shape) < coverage, votes, -1)


@pytest.mark.parametrize("seed", range(3))
def test_voters_accuracies_are_found_without_a_true_label(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, 3000)
    accuracies = np.array([0.9, 0.85, 0.5, 0.45, 0.4])
    votes = votes_of(truth, accuracies, 0.8, rng)
    probabilities, found = dawid_skene(votes, 3)
    assert found == pytest.approx(accuracies, abs=0.06)
    voted = (votes >= 0).any(axis=1)
    right = (probabilities.argmax(axis=1) == truth)[voted].mean()
    assert right > (majority(votes, 3).argmax(axis=1) == truth)[voted].mean() + 0.03
    assert probabilities.sum(axis=1) == pytest.approx(1)


def test_rules_label_rows_and_are_reported():
    table = pl.DataFrame({"n": range(100), "text": ["late" if i >= 50 else "fine" for i in range(100)]})
    rules = [
        LabellingFunction("high", "n >= 45", "yes"),
        LabellingFunction("word", "text = 'late'", "yes"),
        LabellingFunction("low", "n < 40", "no"),
        LabellingFunction("fine", "text = 'fine' AND n < 48", "no"),
    ]
    out = weak_labels(table, rules, model="majority")
    assert out.table["label"].to_list() == ["no"] * 45 + [None] * 3 + ["yes"] * 52
    assert (out.report.rows, out.report.unlabelled) == (100, 3)
    assert (out.report.voters[0].coverage, out.report.voters[0].conflicts) == (0.55, pytest.approx(0.03))
    assert out.report.voters[0].accuracy is None
    better = weak_labels(table, rules)
    assert better.table["label"].tail(50).unique().to_list() == ["yes"]
    assert 0.9 < better.report.voters[0].accuracy <= 1
    with pytest.raises(ConfigError, match="'broken' does not fit"):
        weak_labels(table, [*rules, LabellingFunction("broken", "nowhere > 1", "no")])
    with pytest.raises(ConfigError, match="at least two labels"):
        weak_labels(table, rules[:2])


def test_nobody_voting_is_no_label():
    table = pl.DataFrame({"n": [1, 2]})
    rules = [LabellingFunction("a", "n > 5", "yes"), LabellingFunction("b", "n > 6", "no")]
    assert weak_labels(table, rules).table["label"].to_list() == [None, None]
    with pytest.raises(DataError, match="label numbers"):
        dawid_skene(np.array([[3]]), 2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.sampled_from(["least_confident", "margin", "entropy"]))
def test_of_two_classes_the_nearest_to_a_half_comes_first(probabilities, measure):
    unsure = uncertainties(probabilities, measure)
    assert ((unsure >= -1e-12) & (unsure <= 1 + 1e-12)).all()
    first = most_uncertain(probabilities, 1, measure)[0]
    assert abs(probabilities[first] - 0.5) <= min(abs(p - 0.5) for p in probabilities) + 1e-7


def test_measures_of_uncertainty_differ_where_they_should():
    rows = [[0.5, 0.5, 0.0], [0.4, 0.3, 0.3], [0.34, 0.33, 0.33]]
    assert most_uncertain(rows, 1, "margin").tolist() == [0]
    assert most_uncertain(rows, 3, "entropy").tolist() == [2, 1, 0]
    assert uncertainties([[1 / 3] * 3], "least_confident")[0] == pytest.approx(1)
    with pytest.raises(UsageError, match="not a measure"):
        uncertainties(rows, "guess")
    with pytest.raises(DataError, match="none negative"):
        uncertainties([[float("nan"), 1.0]])


def late(row):
    """Mostly right."""
    return "yes" if row["n"] >= 52 else None


def test_rules_in_python_vote_beside_rules_in_sql():
    table = pl.DataFrame({"n": range(100), "text": ["late" if i >= 50 else "fine" for i in range(100)]})
    rules = [
        LabellingFunction("word", "text = 'late'", "yes"),
        LabellingFunction("fine", "text = 'fine'", "no"),
        late,
        lambda row: "no" if row["n"] < 45 else None,
    ]
    out = weak_labels(table, rules)
    assert out.table["label"].to_list() == ["no"] * 50 + ["yes"] * 50
    assert [voter.name for voter in out.report.voters] == ["word", "fine", "late", "<lambda>"]
    assert [voter.coverage for voter in out.report.voters] == [0.5, 0.5, 0.48, 0.45]
    only_python = weak_labels(table, [late, lambda row: "maybe" if row["n"] < 3 else None], model="majority")
    assert sorted(only_python.table["label"].drop_nulls().unique()) == ["maybe", "yes"]


def test_a_rule_in_python_that_fails_names_itself_and_the_row():
    table = pl.DataFrame({"n": [1, None]})
    other = LabellingFunction("other", "n > 5", "no")

    def doubled(row):
        return "yes" if row["n"] * 2 > 1 else None

    def number(row):
        return 1

    with pytest.raises(DataError, match=r"'doubled' failed on row 1 \(TypeError"):
        weak_labels(table, [doubled, other])
    with pytest.raises(DataError, match=r"'number' does not return a label on row 0: 1"):
        weak_labels(table, [number, other])
    with pytest.raises(ConfigError, match=r"two labelling functions have one name: 'other'"):
        weak_labels(table, [other, other])
    with pytest.raises(ConfigError, match=r"does not fit the table.*Columns are: n"):
        weak_labels(table, [LabellingFunction("broken", "nowhere > 1", "yes"), other])
    assert weak_labels(table.clear(), [other, LabellingFunction("one", "n > 1", "yes")]).table.height == 0


def test_a_model_that_does_not_exist_is_not_taken_for_another():
    with pytest.raises(ConfigError, match="Use one of majority, dawid_skene"):
        weak_labels(pl.DataFrame({"a": [1]}), [LabellingFunction("one", "a = 1", "yes")], model="majorty")


@pytest.mark.parametrize("rare", [1, 5, 2000])
def test_rows_on_which_only_one_label_was_voted_get_that_label_however_rare(rare):
    votes = np.full((4000 + rare, 3), -1)
    votes[:4000, 0] = votes[1000:4000, 1] = 0
    votes[4000:, 2] = 1
    probabilities, accuracies = dawid_skene(votes, 2)
    assert (probabilities.argmax(axis=1) == np.repeat([0, 1], [4000, rare])).all()
    assert (accuracies > 0.9).all()


def test_rules_of_one_label_each_find_both_labels():
    rng = np.random.default_rng(0)
    truth = (rng.random(4000) < 0.3).astype(int)
    fires = [
        np.where(truth == label, rng.random(4000) < right, rng.random(4000) < wrong)
        for label, right, wrong in [(0, 0.5, 0.3), (1, 0.6, 0.03), (0, 0.5, 0.02), (1, 0.5, 0.03)]
    ]
    votes = np.stack([np.where(fire, label, -1) for fire, label in zip(fires, (0, 1, 0, 1), strict=True)], axis=1)
    voted = (votes >= 0).any(axis=1)
    found = dawid_skene(votes, 2)[0].argmax(axis=1)
    for label in (0, 1):
        assert (found == truth)[voted & (truth == label)].mean() > 0.85


@pytest.mark.parametrize("model", ["majority", "dawid_skene"])
def test_rows_that_call_for_one_label_or_none_are_no_error_of_rules_in_python(model):
    rules = [late, lambda row: "no" if row["n"] < 45 else None]
    one = weak_labels(pl.DataFrame({"n": [60, 50, 70]}), rules, model=model)
    assert one.table["label"].to_list() == ["yes", None, "yes"]
    assert [label for label, _ in one.report.shares] == ["yes"]
    for none in ([50], []):
        nothing = weak_labels(pl.DataFrame({"n": none}, schema={"n": pl.Int64}), rules, model=model)
        assert nothing.table["label"].to_list() == [None] * len(none)
        assert nothing.report.unlabelled == len(none)
