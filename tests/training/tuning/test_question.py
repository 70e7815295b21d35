"""If these fail, tuning finds the best parameters for another question than the one that is then trained."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import task_cases

import tidemill as tm
from tidemill.core.errors import DataError, ModelError, UsageError
from tidemill.data.split import PARTS
from tidemill.training.tuning.carrying import Plan, rows_of
from tidemill.training.tuning.folds import folds_of
from tidemill.training.tuning.reading import list_studies, read_study
from tidemill.training.tuning.searching import Budget

#: Few trials of it will do, since what they measure is compared.
SPACE = {"num_leaves": tm.integers(3, 15), "n_estimators": 8}
QUESTIONS = ("ranking", "quantile", "row weights", "class weights", "recipe")


def asked(kind):
    """The split, the builder and what `train` and `tune` are told."""
    if kind == "ranking":
        return *parts_of("ranking"), {"task": "ranking", "group": "day"}
    if kind == "quantile":
        return *parts_of("quantile"), {"task": "quantile", "levels": (0.25, 0.75)}
    data, build = parts_of("binary")
    if kind == "row weights":
        weighted = {part: getattr(data, part).with_columns(worth=pl.col("mean area") ** 2) for part in PARTS}
        return tm.Splits(**weighted, spec=data.spec), build, {"weights": "worth"}
    if kind == "class weights":
        return data, build, {"class_weight": {False: 1, True: 9}}
    plan = tm.recipe(data).with_use("mean area", "leave out").with_use("mean radius", "log")
    return data, build, {"recipe": plan}


def parts_of(task):
    case = task_cases.case(task)
    return case.data, case.build


@pytest.mark.parametrize("kind", QUESTIONS)
def test_the_best_trial_is_worth_what_training_measures(kind):
    data, build, question = asked(kind)
    study = tm.tune(build, SPACE, data, trials=3, **question)
    model = tm.train(build, study.best, data, baselines=False, **question)
    assert study.value == model.metrics[study.metric]
    told = tm.train(build, study.best, data, baselines=False, **study.question)
    assert str(tm.same_model(model, told)) == "the models are the same"


@pytest.mark.parametrize("kind", ["quantile", "row weights", "class weights", "recipe"])
def test_what_is_asked_changes_what_is_found(kind):
    data, build, question = asked(kind)
    metric = "pinball" if kind == "quantile" else "log_loss"
    bare = {name: value for name, value in question.items() if name == "task"}
    told = tm.tune(build, SPACE, data, metric=metric, trials=2, **question)
    untold = tm.tune(build, SPACE, data, metric=metric, trials=2, **bare)
    assert [trial.value for trial in told.trials] != [trial.value for trial in untold.trials]


@pytest.mark.parametrize("kind", QUESTIONS)
def test_a_fold_is_worth_what_training_on_it_measures(kind):
    data, build, question = asked(kind)
    study = tm.tune(build, SPACE, data, trials=2, folds=2, **question)
    classifies = question.get("task") is None
    parts = folds_of(data, 2, stratify=classifies, group=question.get("group", ""))
    models = [tm.train(build, study.best, part, baselines=False, **question) for part in parts]
    assert study.value == pytest.approx(np.mean([model.metrics[study.metric] for model in models]), abs=1e-12)


@pytest.mark.parametrize("kind", QUESTIONS)
def test_worker_processes_are_asked_the_same(kind):
    data, build, question = asked(kind)
    several = tm.tune(build, SPACE, data, trials=2, sampler="random", parallel=2, **question)
    assert several.trials == tm.tune(build, SPACE, data, trials=2, sampler="random", **question).trials


@pytest.mark.parametrize("kind", ["ranking", "quantile", "row weights"])
def test_the_whole_search_is_judged_on_rows_of_the_same_question(kind):
    data, build, question = asked(kind)
    study = tm.tune(build, SPACE, data, trials=1, folds=2, outer=2, **question)
    assert study.outer.low <= study.outer.value <= study.outer.high


def test_a_study_goes_on_only_if_it_asked_the_same(project, store):
    data, build, question = asked("class weights")
    tm.tune(build, SPACE, data, trials=1, name="weighed", **question)
    told = tm.tune(build, SPACE, data, trials=2, name="weighed", resume=True, **question)
    assert told.number == 1
    assert told.question == {"class_weight": {"false": 1.0, "true": 9.0}}
    assert read_study(store, project.name, "weighed") == told
    with pytest.raises(UsageError, match="cannot go on: its class_weight changed"):
        tm.tune(build, SPACE, data, trials=2, name="weighed", resume=True, class_weight="balanced")
    with pytest.raises(UsageError, match="cannot go on: its class_weight and recipe changed"):
        tm.tune(build, SPACE, data, trials=2, name="weighed", resume=True, recipe=tm.recipe(data))
    assert [entry.number for entry in list_studies(store, project.name)] == [1]


def test_a_recipe_and_its_mapping_are_the_same_question(project):
    data, build, question = asked("recipe")
    tm.tune(build, SPACE, data, trials=1, name="planned", **question)
    again = tm.tune(build, SPACE, data, trials=2, name="planned", resume=True, recipe=question["recipe"].to_dict())
    assert again.number == 1


def test_folds_part_no_query_however_the_rows_were_split():
    data, _, _ = asked("ranking")
    shared = tm.split(pl.concat([data.train, data.validation]), tm.by_share(0.6, 0.2), "windy", entity="day")
    for part in folds_of(shared, 3, group="day"):
        assert not set(part.train["day"]) & set(part.validation["day"])


def test_folds_in_time_know_no_query_that_goes_on():
    hours = task_cases.windy_hours().with_columns(
        at=pl.datetime(
            2013,
            pl.col("day").str.split("-").list.get(0).cast(pl.Int8),
            pl.col("day").str.split("-").list.get(1).cast(pl.Int8),
            pl.col("hour"),
        )
    )
    hours = hours.with_columns(shift=pl.col("at").dt.offset_by("-6h").dt.date().cast(pl.String))
    data = tm.split(hours, tm.by_time("2013-02-10", "2013-02-20", time="at"), "windy", entity="shift")
    for part in folds_of(data, 4, group="shift"):
        assert not set(part.train["shift"]) & set(part.validation["shift"])
        assert part.train["at"].max() < part.validation["at"].min()
        whole = pl.concat([part.train, part.validation]).group_by("shift").len()
        had = pl.concat([data.train, data.validation]).group_by("shift").len()
        assert whole.join(had, on=["shift", "len"]).height == whole.height


def test_fewer_rows_are_whole_queries():
    data, build, question = asked("ranking")
    plan = Plan(
        build=build, space=SPACE, metric=None, cleaning=(), costs=None, rows=100, sampler="tpe", pruner=None, seed=1,
        threads=1, early_stopping=0, budget=Budget(1), **question,
    )  # fmt: skip
    fitting = rows_of(plan, data)[1][0]
    sizes = data.train["day"].value_counts()["count"].to_list()
    assert 0 < len(fitting.matrix) <= 100
    assert set(fitting.groups) <= set(sizes)
    assert sum(fitting.groups) == len(fitting.matrix)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"group": "clinic"}, UsageError, "group is for task='ranking', and this is binary"),
        ({"group": "clinic", "folds": 2}, UsageError, "group is for task='ranking', and this is binary"),
        ({"levels": (0.5,)}, UsageError, "levels are for task='quantile'"),
        ({"levels": 0.5, "task": "quantile"}, UsageError, r"levels are a list of shares: 0.5\. Write levels="),
        ({"weights": ["worth"]}, UsageError, "weights is the name of one column"),
        ({"group": ["clinic"], "task": "ranking"}, UsageError, "group is the name of one column"),
        ({"task": "ranking", "folds": 2}, UsageError, 'the query of each row: .*Name it: group="query"'),
        ({"class_weight": "balanced", "weights": "mean_area"}, UsageError, "both class_weight and weights"),
        ({"weights": "worth"}, DataError, "worth"),
        ({"class_weight": {True: "much", False: 1}}, UsageError, "the weight of class True is no number: 'much'"),
        ({"task": "ranking", "group": "query", "folds": 2}, DataError, "query"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_before_the_first_trial(builds, cancer, options, error, words):
    with pytest.raises(error, match=words):
        tm.tune(builds.cut, {"cut": tm.uniform(0, 2500)}, cancer, trials=1, **options)


def test_an_estimator_that_weighs_classes_itself_fails_its_trials(cancer):
    def build(params):
        return task_cases.classifier({**params, "class_weight": "balanced"})

    with pytest.raises(ModelError, match=r"both train\(\) and LGBMClassifier weigh the classes"):
        tm.tune(build, SPACE, cancer, trials=1, class_weight="balanced")
