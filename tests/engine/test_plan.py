"""Plans: what would run and why, without running anything, up to where a value would be needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.engine import pipeline, step
from tidemill.store import executions, runs


@pytest.fixture
def train(tmp_path):
    log = tmp_path / "log"

    def note(what: str) -> None:
        with log.open("a") as file:
            file.write(f"{what}\n")

    @step
    def load(rows: int) -> list[int]:
        note("load")
        return list(range(rows))

    @step
    def fit(data: list[int], trials: int) -> int:
        note("fit")
        return sum(data) * trials

    @step(effect=True)
    def send(model: int) -> int:
        note("send")
        return model

    @step(cache=False)
    def sample() -> int:
        return 1

    @pipeline
    def train(rows: int = 3, trials: int = 2) -> int:
        model = fit(load(rows), trials)
        sample()
        if model > 100:
            fit(load(rows), 1)
        fit.map([[1], [2]], trials=trials)
        return send(model)

    train.log = log
    return train


def actions(plan):
    return {node.step + node.node[len(node.step) :][:1]: node.action for node in plan.nodes}


def test_a_plan_of_what_never_ran_stops_at_the_first_condition(run_in, train):
    plan = run_in(train).plan()
    assert [(node.node, node.action) for node in plan.nodes] == [("load", "run"), ("fit", "unknown"), ("sample", "run")]
    assert plan.nodes[0].reasons == ("never ran before",)
    assert "'load'" in plan.nodes[1].reasons[0]
    assert not plan.is_complete
    assert "needs the value of 'fit'" in plan.stopped
    assert "line" in plan.stopped


def test_a_plan_runs_and_records_nothing(run_in, train, store):
    run_in(train)()
    before = train.log.read_text()
    run_in(train).plan(trials=7)
    assert train.log.read_text() == before
    with store.metadata.reading() as tx:
        assert len(runs.list_runs(tx)) == 1
        assert len(executions.of_run(tx, runs.list_runs(tx)[0].id)) == 6


def test_a_plan_after_a_run_reaches_the_end(run_in, train):
    result = run_in(train).run()
    plan = run_in(train).plan()
    assert plan.is_complete
    assert plan.count("cached") == 4
    assert plan.count("effect") == 1
    assert plan.count("run") == 1
    assert plan.nodes[0].reasons == (f"nothing has changed since run {result.id}",)


def test_a_plan_names_the_parameter_that_changed(run_in, train):
    run_in(train)()
    plan = run_in(train).plan(trials=3)
    fit = next(node for node in plan.nodes if node.node == "fit")
    assert fit.action == "run"
    assert any("trials" in reason for reason in fit.reasons)
    assert "needs the value of 'fit'" in plan.stopped


def test_a_plan_names_the_input_that_changed(run_in):
    @step
    def first(value: int) -> int:
        return value * 2

    @step
    def second(left: int) -> int:
        return left + 1

    @pipeline
    def chain(value: int) -> int:
        return second(first(value))

    @pipeline
    def only_first(value: int) -> int:
        return first(value)

    run_in(chain)(1)
    run_in(only_first)(2)
    second_node = run_in(chain).plan(2).nodes[1]
    assert second_node.action == "run"
    assert any("left" in reason for reason in second_node.reasons)


def test_a_body_cannot_swallow_the_end_of_a_plan(run_in, train):
    @step
    def value() -> int:
        return 1

    @pipeline
    def careless() -> int:
        try:
            return 1 if value() else 0
        except Exception:
            return 2

    plan = run_in(careless).plan()
    assert "needs the value of 'value'" in plan.stopped


def test_without_cache_everything_would_run(run_in, train):
    run_in(train)()
    plan = run_in(train, cache=False).plan()
    assert plan.count("cached") == 0
    assert Path(train.log).read_text().count("fit") == 3
