"""If these fail, training in a pipeline repeats what it knows, or keeps what a changed canvas has made wrong."""

from __future__ import annotations

import lightgbm
import polars as pl
import pytest

from tidemill.data.split import Splits, TrainingParts, by_share, split
from tidemill.engine import pipeline, step
from tidemill.evaluation import Evaluation, Examination, evaluate, examine
from tidemill.project import load_project, use_project
from tidemill.store import lineage, open_store, values
from tidemill.training import integers, train, tune

CANVAS = """
[project]
name = "flight-delay"

[canvas]
prediction = { task = "binary classification", target = "late", at = "sched_dep" }
costs = { false_positive = 1, false_negative = COST }
"""


@step
def table(rows: int) -> Splits:
    frame = pl.DataFrame({"x": range(rows)}).with_columns(late=(pl.col("x") * 7919 % 100) + pl.col("x") / 20 > 60)
    return split(frame, by_share(), "late")


def boosted(params: dict) -> lightgbm.LGBMClassifier:
    return lightgbm.LGBMClassifier(n_estimators=5, num_leaves=4, **params)


@pipeline
def life(rows: int = 400) -> tuple[Evaluation, Examination]:
    data = table(rows)
    study = tune(boosted, {"min_child_samples": integers(5, 20)}, data, trials=2)
    model = train(boosted, study.best, data)
    return evaluate(model, data.validation, bootstrap=5), examine(model, data.test, bootstrap=5)


@pytest.fixture
def run(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts")) as store:
        placed = life.using(store=store, project="flight-delay")

        def metrics(result):
            with store.metadata.reading() as tx:
                return {(m.name, m.context, m.step): m.value for m in values.metrics(tx, result.id)}

        def run_with(cost):
            (tmp_path / "tidemill.toml").write_text(CANVAS.replace("COST", str(cost)))
            with use_project(load_project(tmp_path)):
                return placed.run()

        run_with.metrics = metrics
        yield run_with


def statuses(result):
    return {entry.step: entry.status for entry in result.steps}


def test_the_life_of_a_model_is_cached_and_follows_the_canvas(run):
    first = run(9)
    assert first.status == "succeeded", first.error
    evaluation, examination = first.result
    assert (evaluation.model, examination.moment) == ("flight-delay", "test")
    assert evaluation.costs.costs["false_negative"] == 9
    noted = run.metrics(first)
    assert noted["roc_auc", "evaluation", 0] == evaluation.metrics["roc_auc"].value
    assert {("roc_auc", "validation", 0), ("roc_auc", "trial", 1), ("roc_auc", "test", 0)} <= set(noted)
    tried = [value for (name, context, _), value in noted.items() if (name, context) == ("roc_auc", "trial")]
    assert noted["roc_auc", "tuning", 0] == max(tried), "of a study its best trial is told, not its last"
    again = run(9)
    assert set(statuses(again).values()) == {"cached"}
    assert again.result == first.result
    changed = run(1)
    assert {name for name, status in statuses(changed).items() if status == "cached"} == {"table", "tune"}
    assert changed.result[0].threshold > evaluation.threshold


def test_inside_a_step_the_canvas_is_not_read_behind_the_key(tmp_path):
    @step
    def fit(data: Splits) -> float:
        model = train(boosted, {}, data, baselines=False)
        assert model.name == "late"
        return model.signature.threshold

    @pipeline
    def fitted() -> float:
        return fit(table(200))

    (tmp_path / "tidemill.toml").write_text(CANVAS.replace("COST", "9"))
    with (
        open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts")) as store,
        use_project(load_project(tmp_path)),
    ):
        assert fitted.using(store=store, project="flight-delay")() == 0.5
        assert train(boosted, {}, table(200), baselines=False).signature.threshold < 0.5


@step
def with_test_rows(shift: int) -> Splits:
    found = table(400)
    return Splits(found.train, found.validation, found.test.with_columns(pl.col("x") + shift), found.spec)


@step
def asks(data: TrainingParts) -> int:
    return train(boosted, {}, data, baselines=False).metadata["rows"]["train"] + data.validation.height


@pipeline
def examined(shift: int) -> tuple[Examination, int]:
    data = with_test_rows(shift)
    study = tune(boosted, {"min_child_samples": integers(5, 20)}, data, trials=1)
    model = train(boosted, study.best, data)
    return examine(model, data.test, bootstrap=5), asks(data)


def test_only_the_examination_reads_the_test_part_and_runs_again_when_it_changes(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts")) as store:
        placed = examined.using(store=store, project="flight-delay")
        first = placed.run(shift=0)
        assert first.result[1] == 340
        read = ["data.train", "data.validation", "data.spec"]
        with store.metadata.reading() as tx:
            used = {entry.step: [name for name, _ in lineage.inputs(tx, entry.execution_id)] for entry in first.steps}
            held_out = dict(lineage.outputs(tx, first.steps[0].execution_id))["test"]
            readers = {edge.step for edge in lineage.downstream(tx, held_out.id)}
        assert (used["tune"][:-1], used["train"][-4:-1], used["asks"][:-1]) == (read, read, read)
        assert not any("test" in name for step in ("tune", "train", "asks") for name in used[step])
        assert readers == {"examine"}
        again = placed.run(shift=1)
        ran = {name for name, status in statuses(again).items() if status == "succeeded"}
        assert ran == {"with_test_rows", "examine"}
