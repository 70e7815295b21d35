"""Outputs of several parts: a wrong name would hand the test rows to the training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import polars as pl
import pytest

from tidemill.core.errors import MaterialiserError, PipelineError
from tidemill.core.model import Model
from tidemill.core.schema import TableSchema
from tidemill.engine.materialisers import assemble, load, parts, save, split

T = TypeVar("T")


@dataclass(frozen=True)
class Spec:
    seed: int
    share: float | None = None
    how: Literal["time", "group"] = "time"
    schema: TableSchema | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    inner: list[Spec] = field(default_factory=list)


@dataclass(frozen=True)
class Splits:
    train: pl.DataFrame
    test: pl.LazyFrame
    spec: Spec


@dataclass(frozen=True)
class Outcome:
    splits: Splits
    model: np.ndarray | None
    score: float
    seen: int = field(init=False, default=0)


class Pair(NamedTuple):
    table: pl.DataFrame
    rows: int


@dataclass
class Box(Generic[T]):
    frame: pl.DataFrame
    extra: T


@dataclass
class Unresolved:
    table: Nowhere  # noqa: F821


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (None, None),
        (Any, None),
        (int, None),
        (dict[str, int], None),
        (list[pl.DataFrame], None),
        (tuple[int, ...], None),
        (tuple, None),
        (tuple[()], None),
        (pl.DataFrame, None),
        (Model, None),
        (Spec, None),
        (Splits | None, None),
        (Path, None),
        (tuple[int, str], {"0": int, "1": str}),
        (tuple[pl.DataFrame, Model], {"0": pl.DataFrame, "1": Model}),
        (Annotated[tuple[int, str], "note"], {"0": int, "1": str}),
        (Pair, {"table": pl.DataFrame, "rows": int}),
        (Splits, {"train": pl.DataFrame, "test": pl.LazyFrame, "spec": Spec}),
        (Box[int], {"frame": pl.DataFrame, "extra": T}),
        (
            Outcome,
            {
                "splits.train": pl.DataFrame,
                "splits.test": pl.LazyFrame,
                "splits.spec": Spec,
                "model": np.ndarray | None,
                "score": float,
                "seen": int,
            },
        ),
    ],
)
def test_parts_of_an_annotation(annotation, expected):
    assert parts(annotation) == expected


def test_a_value_taken_apart_and_stored_comes_back(artifacts):
    frame = pl.DataFrame({"a": [1, 2]})
    value = Outcome(Splits(frame, frame.lazy(), Spec(1, inner=[Spec(2)])), np.arange(3), 0.5)
    object.__setattr__(value, "seen", 7)
    names = parts(Outcome)
    drafts = {name: save(part, names[name], artifacts) for name, part in split(Outcome, value).items()}
    assert list(drafts) == list(names)
    loaded = assemble(Outcome, {name: load(drafts[name], names[name], artifacts) for name in names})
    assert loaded.splits.train.equals(frame)
    assert isinstance(loaded.splits.test, pl.LazyFrame)
    assert loaded.splits.spec == value.splits.spec
    assert loaded.model.tolist() == [0, 1, 2]
    assert (loaded.score, loaded.seen) == (0.5, 7)


@pytest.mark.parametrize(("annotation", "value"), [(tuple[int, str], (1, "a")), (Pair, Pair(pl.DataFrame(), 2))])
def test_tuples_come_back_as_they_were(annotation, value):
    loaded = assemble(annotation, split(annotation, value))
    assert type(loaded) is type(value)
    assert loaded[1] == value[1]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(tuple[int, str], (1, "a", 2)), (tuple[int, str], [1, "a"]), (Splits, Spec(1)), (Pair, (1, 2))],
)
def test_a_value_that_is_not_what_the_annotation_says(annotation, value):
    with pytest.raises(MaterialiserError, match="the return annotation says"):
        split(annotation, value)


def test_a_missing_part_is_named():
    with pytest.raises(MaterialiserError, match="the part 'spec' of"):
        assemble(Splits, {"train": 1, "test": 2})


def test_annotations_that_cannot_be_evaluated_are_named():
    with pytest.raises(PipelineError, match="Nowhere"):
        parts(Unresolved)


def test_a_dataclass_with_a_table_says_how_to_return_it(artifacts):
    with pytest.raises(MaterialiserError, match=r"value\.frame of type polars.*return.annotation"):
        save(Box(pl.DataFrame(), 1), None, artifacts)
