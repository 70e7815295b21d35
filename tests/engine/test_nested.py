"""Steps that return several things, some of which are several things: what can be taken apart, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import polars as pl
import pytest

from tidemill.core.errors import PipelineError, StepError
from tidemill.engine import pipeline, step
from tidemill.store import lineage

FRAME = pl.DataFrame({"a": [1, 2, 3]})


@dataclass(frozen=True)
class Halves:
    left: pl.DataFrame
    right: pl.DataFrame
    note: str = "halves"


@dataclass(frozen=True)
class Outer:
    halves: Halves
    rows: int


class Named(NamedTuple):
    halves: Halves
    rows: int


@dataclass(frozen=True)
class Seen:
    takes_its_own_parts_only: ClassVar[bool] = True

    left: pl.DataFrame


@dataclass(frozen=True)
class All(Seen):
    right: pl.DataFrame


@dataclass(frozen=True)
class Open:
    left: pl.DataFrame


@dataclass(frozen=True)
class Closed(Open):
    right: pl.DataFrame


@dataclass(frozen=True)
class Maybe:
    table: pl.DataFrame | None
    rows: int


@dataclass(frozen=True)
class Score:
    value: float
    rows: int


def halves() -> Halves:
    return Halves(FRAME.head(1), FRAME.tail(2))


@step
def in_tuple() -> tuple[Halves, int]:
    return halves(), 3


@step
def in_named() -> Named:
    return Named(halves(), 3)


@step
def in_dataclass() -> Outer:
    return Outer(halves(), 3)


@step
def deep() -> tuple[tuple[Halves, str], list[int]]:
    return (halves(), "deep"), [3]


@step
def use(given: Halves) -> list[int]:
    return [given.left.height, given.right.height]


@step
def use_anything(given: Any) -> str:
    return type(given).__name__


@step
def rows(table: pl.DataFrame | None) -> int:
    return -1 if table is None else table.height


@step(executor="worker")
def used_in_worker(given: Halves) -> int:
    return given.right.height


@pytest.mark.parametrize("made", [in_named, in_dataclass])
def test_a_member_with_parts_is_a_handle(run_in, made):
    """The body would wait for the tables, load them, and store them again under another name."""
    loaded = []

    @pipeline
    def flow() -> tuple[Any, ...]:
        outer = made()
        loaded.append(repr(outer.halves.left))
        parts = use(outer.halves), rows(outer.halves.left), used_in_worker(outer.halves), use_anything(outer.halves)
        return *parts, outer.rows, outer.halves.note

    expected = ([1, 2], 1, 2, "Halves", 3, "halves")
    assert run_in(flow)() == expected
    assert run_in(flow).run().count("succeeded") == 0
    assert run_in(flow)() == expected
    assert loaded[0] == f"<handle {made.name}.halves.left: ready>"


def test_tuples_are_unpacked_at_any_depth(run_in):
    @pipeline
    def flow() -> tuple[Any, ...]:
        first, count = in_tuple()
        (second, word), numbers = deep()
        return use(first), count, rows(second.right), word, numbers, rows(in_tuple()[0].left)

    assert run_in(flow)() == ([1, 2], 3, 2, "deep", [3], 1)
    assert run_in(flow)() == ([1, 2], 3, 2, "deep", [3], 1)


def test_the_values_of_nested_parts_come_back_as_they_were(run_in):
    @pipeline
    def flow() -> tuple[Any, ...]:
        return deep(), in_tuple()[0], in_dataclass().halves.value().note

    (pair, numbers), first, note = run_in(flow)()
    assert (pair[1], numbers, note) == ("deep", [3], "halves")
    assert pair[0].right.equals(FRAME.tail(2))
    assert first.left.equals(FRAME.head(1))
    assert isinstance(first, Halves)


def test_a_change_of_one_part_leaves_what_uses_the_other(run_in):
    @step
    def varies(shift: int) -> tuple[Halves, int]:
        return Halves(FRAME.head(1), FRAME.with_columns(pl.col("a") + shift)), 3

    @pipeline
    def flow(shift: int) -> list[int]:
        both, _ = varies(shift)
        return [rows(both.left), rows(both.right)]

    run_in(flow)(1)
    again = run_in(flow).run(2)
    assert [summary.status for summary in again.steps] == ["succeeded", "cached", "succeeded"]


@step
def maybe(there: bool) -> Maybe:
    return Maybe(FRAME if there else None, 1)


@step
def optional(there: bool) -> pl.DataFrame | None:
    return FRAME if there else None


def test_a_table_that_may_be_missing(run_in):
    @pipeline
    def flow() -> list[int]:
        return [rows(maybe(True).table), rows(maybe(False).table), rows(optional(True)), rows(optional(False))]

    assert run_in(flow)() == [3, -1, 3, -1]
    assert run_in(flow)() == [3, -1, 3, -1]


@step
def score() -> Score:
    return Score(0.5, 3)


def test_a_field_that_a_method_of_handles_hides_is_not_taken_for_it(run_in):
    @pipeline
    def wrong() -> str:
        return use_anything(score().value)

    @pipeline
    def right() -> Any:
        return score().value().value, use_anything(score())

    with pytest.raises(PipelineError, match=r"'given' is the method \.value .*\.value\(\)\.value"):
        run_in(wrong)()
    assert run_in(right)() == (0.5, "Score")


@step
def many() -> list[pl.DataFrame]:
    raise AssertionError("it must be refused before it runs")


@step
def perhaps() -> Halves | None:
    raise AssertionError("it must be refused before it runs")


@step
def mapping() -> tuple[int, dict[str, Halves]]:
    raise AssertionError("it must be refused before it runs")


@pytest.mark.parametrize("made", [many, perhaps, mapping])
def test_what_no_artifact_can_hold_is_refused_before_it_is_made(run_in, made):
    """After an hour of work the result would be thrown away."""

    @pipeline
    def flow() -> Any:
        return made()

    with pytest.raises(PipelineError, match=f"step '{made.name}' returns what cannot be stored"):
        run_in(flow)()


def deep_list(levels: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(levels):
        made = [made]
    return made


def endless() -> list[Any]:
    made: list[Any] = [1]
    made.append(made)
    return made


@step
def returns(kind: str) -> Any:
    return endless() if kind == "endless" else deep_list(5000)


@pytest.mark.parametrize("kind", ["endless", "deep"])
def test_what_contains_itself_is_refused_by_name(run_in, kind):
    """A RecursionError from the depths says neither which step nor which argument."""

    @pipeline
    def given() -> Any:
        return use_anything(endless() if kind == "endless" else deep_list(5000))

    @pipeline
    def made() -> Any:
        return returns(kind)

    with pytest.raises(PipelineError, match="argument 'given' is nested too deeply, or contains itself"):
        run_in(given)()
    with pytest.raises(StepError, match=r"step 'returns' failed: .* a list is nested too deeply to be stored"):
        run_in(made)()


@pytest.mark.parametrize("levels", [20, 60, 120, 400])
def test_what_is_nested_deeply_is_taken_or_refused_but_never_lost(run_in, levels):
    @pipeline
    def flow() -> str:
        return use_anything(deep_list(levels))

    result = run_in(flow).run()
    assert result.result == "list" or "nested too deeply" in str(result.error)


@step
def everything(shift: int) -> tuple[All, Closed]:
    right = FRAME.with_columns(pl.col("a") + shift)
    return All(FRAME.head(2), right), Closed(FRAME.head(2), right)


@step
def sees(given: Seen) -> str:
    return f"{type(given).__name__} {given.left.height}"


@step(executor="worker")
def sees_in_worker(given: Seen | None) -> str:
    return f"{type(given).__name__} {given.left.height}"


@step
def sees_base(given: Open) -> str:
    return type(given).__name__


def inputs_of(store, result):
    """All but the recipe, which is always the last."""
    with store.metadata.reading() as tx:
        return {entry.node: [name for name, _ in lineage.inputs(tx, entry.execution_id)][:-1] for entry in result.steps}


def test_a_step_that_asks_for_some_parts_only_gets_keys_and_records_no_others(run_in, store):
    @pipeline
    def flow(shift: int) -> tuple[Any, ...]:
        one, other = everything(shift)
        return sees(one), sees_in_worker(one), sees_base(other)

    placed = run_in(flow)
    first = placed.run(shift=1)
    assert first.result == ("Seen 2", "Seen 2", "Closed")
    used = inputs_of(store, first)
    assert used["sees"] == used["sees_in_worker"] == ["given.left"]
    assert used["sees_base"] == ["given.left", "given.right"]
    again = placed.run(shift=2)
    assert {entry.node: entry.status for entry in again.steps} == {
        "everything": "succeeded", "sees": "cached", "sees_in_worker": "cached", "sees_base": "succeeded",
    }  # fmt: skip


def test_of_a_value_that_is_passed_the_other_parts_are_not_stored(run_in, store):
    @pipeline
    def flow(shift: int) -> str:
        return sees(All(FRAME, FRAME.with_columns(pl.col("a") + shift)))

    first = run_in(flow).run(shift=1)
    assert first.result == "Seen 3"
    assert inputs_of(store, first)["sees"] == ["given.left"]
    assert run_in(flow).run(shift=2).count("cached") == 1
    assert sees(All(FRAME, FRAME)) == "All 3"
