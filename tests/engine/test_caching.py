"""What is taken from earlier runs, what never is, and that a damaged store is noticed."""

from __future__ import annotations

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.engine import pipeline, step
from tidemill.store import executions, open_store


@step
def frame(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"a": range(rows)})


@step
def height(table: pl.DataFrame) -> int:
    return table.height


@step
def combine(inputs: list[int], salt: int) -> int:
    return sum(inputs) * 31 + salt


@step
def pair(value: int) -> tuple[int, str]:
    return value + 1, str(value)


def test_a_second_run_takes_everything_from_the_first(run_in, store):
    @pipeline
    def measure(rows: int) -> int:
        return height(frame(rows))

    first = run_in(measure).run(3)
    second = run_in(measure).run(3)
    assert (first.count("succeeded"), second.count("cached")) == (2, 2)
    assert second.result == 3
    with store.metadata.reading() as tx:
        kept = executions.get(tx, second.steps[0].execution_id)
    assert kept.cached_from == first.steps[0].execution_id
    assert second.steps[0].rows_out == 3


def test_a_cached_value_whose_blob_is_gone_is_made_again(run_in, store):
    @pipeline
    def make(rows: int) -> pl.DataFrame:
        return frame(rows)

    placed = run_in(make)
    placed(3)
    for blob in list(store.artifacts.blobs()):
        store.artifacts.delete(blob.digest)
    again = placed.run(3)
    assert again.steps[0].status == "succeeded"
    assert again.result.height == 3


def test_without_cache_everything_runs(run_in):
    @pipeline
    def measure(rows: int) -> int:
        return height(frame(rows))

    run_in(measure)(3)
    assert run_in(measure, cache=False).run(3).count("succeeded") == 2


def test_effects_and_uncacheable_steps_run_every_time(run_in):
    done = []

    @step(effect=True)
    def send(value: int) -> int:
        done.append(("send", value))
        return value

    @step(cache=False)
    def now() -> int:
        done.append(("now", 0))
        return len(done)

    @pipeline
    def sends() -> int:
        now()
        return send(1)

    placed = run_in(sends)
    placed()
    placed()
    assert done.count(("send", 1)) == 2
    assert done.count(("now", 0)) == 2


def test_the_declared_environment_and_version_belong_to_the_key(run_in, monkeypatch):
    def body() -> int:
        return 1

    monkeypatch.setenv("TIDE", "high")
    first = step(env=["TIDE"])(body)

    @pipeline
    def run_first() -> int:
        return first()

    assert run_in(run_first).run().count("succeeded") == 1
    assert run_in(run_first).run().count("cached") == 1
    monkeypatch.setenv("TIDE", "low")
    assert run_in(run_first).run().count("succeeded") == 1
    second = step(env=["TIDE"], version="2")(body)

    @pipeline
    def run_second() -> int:
        return second()

    assert run_in(run_second).run().count("succeeded") == 1


def test_a_mutable_name_is_pinned_before_the_key_is_made(run_in):
    today = ["2013-01-01"]

    @step(resolve=lambda arguments: {**arguments, "when": today[0]})
    def read(when: str = "today") -> str:
        return when

    @pipeline
    def reads() -> str:
        return read()

    placed = run_in(reads)
    assert placed() == "2013-01-01"
    assert placed.run().count("cached") == 1
    today[0] = "2013-01-02"
    assert placed() == "2013-01-02"


def test_an_unchanged_intermediate_result_stops_the_recomputation(run_in):
    @step
    def parity(value: int) -> int:
        return value % 2

    @step
    def after(value: int) -> int:
        return value + 100

    @pipeline
    def chain(value: int) -> int:
        return after(parity(value))

    run_in(chain)(1)
    second = run_in(chain).run(3)
    assert [summary.status for summary in second.steps] == ["succeeded", "cached"]


def test_a_function_passed_as_a_parameter_is_keyed_by_its_code(run_in):
    @step
    def apply(function: object, value: int) -> int:
        return function(value)

    def double(value: int) -> int:
        return 2 * value

    def triple(value: int) -> int:
        return 3 * value

    @pipeline
    def use(which: int) -> int:
        return apply(double if which == 2 else triple, 5)

    placed = run_in(use)
    assert placed(2) == 10
    assert placed(3) == 15
    assert placed.run(2).count("cached") == 1


Graph = list[tuple[list[int], int, bool]]

graphs = st.integers(1, 12).flatmap(
    lambda size: st.tuples(
        *[
            st.tuples(st.lists(st.integers(0, max(0, index - 1)), max_size=3), st.integers(0, 3), st.booleans())
            for index in range(size)
        ]
    )
)


@pipeline
def random_graph(graph: list) -> list[int]:
    made: list = []
    for index, (upstream, salt, several) in enumerate(graph):
        value = combine([made[i] for i in upstream if i < index], salt)
        made.append(pair(value)[0] if several else value)
    return made


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=graphs)
def test_any_graph_run_again_is_fully_cached_and_equal(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("graph")
    with open_store(f"sqlite:///{folder}/store.db", artifacts=str(folder / "artifacts")) as store:
        placed = random_graph.using(store=store)
        first, second = placed.run(list(graph)), placed.run(list(graph))
        expected: list[int] = []
        for index, (upstream, salt, several) in enumerate(graph):
            value = sum(expected[i] for i in upstream if i < index) * 31 + salt
            expected.append(value + 1 if several else value)
        assert first.result == second.result == expected
        assert second.count("cached") == len(second.steps)
        assert [summary.outputs for summary in first.steps] != [] or not graph
        with store.metadata.reading() as tx:
            kept = executions.of_run(tx, second.id)
        assert all(execution.status == "cached" for execution in kept)
