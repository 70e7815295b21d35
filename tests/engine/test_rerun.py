"""One step again on its recorded inputs: the same value, the same digests, nothing recorded."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pytest

from tidemill.core.errors import NotFoundError, StepError
from tidemill.engine import current, pipeline, step
from tidemill.engine.rerun import rerun_step
from tidemill.store import runs


@dataclass(frozen=True)
class Plan:
    names: tuple[str, ...]
    limit: int = 2


@step
def load(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"a": range(rows)})


@step
def halves(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return table.head(1), table.tail(-1)


def triple(value: int) -> int:
    return 3 * value


@step
def fit(tables: list[pl.LazyFrame], plan: Plan, function: object, extra: dict[str, pl.DataFrame]) -> int:
    assert all(isinstance(table, pl.LazyFrame) for table in tables)
    assert isinstance(extra["a"], pl.DataFrame)
    assert current().step == "fit"
    return function(sum(table.collect().height for table in tables) + plan.limit)


@step
def breaks(table: pl.DataFrame) -> int:
    raise ValueError(table.height)


@pipeline
def flow() -> int:
    table = load(4)
    head, tail = halves(table)
    return fit([table, head], Plan(("a", "b")), triple, {"a": tail})


@pipeline
def broken() -> int:
    return breaks(load(4))


def test_a_step_is_done_again_on_its_recorded_inputs(run_in, store):
    result = run_in(flow).run()
    again = rerun_step(store, result.step("fit").execution_id)
    assert again.value == result.result == 21
    assert again.is_same is True
    assert rerun_step(store, result.step("halves").execution_id).is_same is True
    with store.metadata.reading() as tx:
        assert len(runs.list_runs(tx)) == 1


def test_a_cached_execution_stands_for_the_one_that_ran(run_in, store):
    run_in(flow)()
    cached = run_in(flow).run().step("fit")
    assert cached.status == "cached"
    assert rerun_step(store, cached.execution_id).value == 21


def test_a_failed_step_fails_again_with_its_own_error(run_in, store):
    failed = run_in(broken).run().step("breaks")
    with pytest.raises(StepError, match="step 'breaks' failed again: 4") as caught:
        rerun_step(store, failed.execution_id)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_skipped_step_has_no_inputs(run_in, store):
    @pipeline
    def skips() -> int:
        return fit([breaks(load(4))], Plan(()), triple, {})

    skipped = run_in(skips).run().step("fit")
    with pytest.raises(NotFoundError, match="were not recorded, since it is skipped"):
        rerun_step(store, skipped.execution_id)


def test_the_debugger_sees_the_arguments(run_in, store, monkeypatch, capsys):
    import io

    result = run_in(broken).run()
    commands = io.StringIO("p table.height + 100\ncontinue\np 'post mortem'\nquit\n")
    monkeypatch.setattr("sys.stdin", commands)
    with pytest.raises(StepError):
        rerun_step(store, result.step("breaks").execution_id, debug=True)
    shown = capsys.readouterr().out
    assert "104" in shown
    assert "'post mortem'" in shown


@dataclass(frozen=True)
class Both:
    left: pl.DataFrame
    right: pl.DataFrame


@step
def nested() -> tuple[Both, int]:
    return Both(pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1, 2]})), 3


@step
def says_nothing(both, whole):  # as many a first step is written
    return [both.left.height, whole[0].right.height, whole[1]]


@pipeline
def unannotated() -> list[int]:
    return says_nothing(nested()[0], nested())


def test_a_step_without_annotations_gets_what_it_got(run_in, store):
    """The debugger would end before its first line."""
    result = run_in(unannotated).run()
    assert result.result == [1, 2, 3]
    again = rerun_step(store, result.step("says_nothing").execution_id)
    assert (again.value, again.is_same) == ([1, 2, 3], True)
