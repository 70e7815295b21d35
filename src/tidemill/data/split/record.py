"""What a split is: three tables, and the record of how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import polars as pl

from tidemill.core.digests import digest_value
from tidemill.data.faces import as_html, as_text

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """How a split was made, and what its columns are for.

    Parameters
    ----------
    target
        The column to predict.
    features
        The columns to predict it from, in order.
    method
        The split method as a JSON-able mapping.
    time
        The time column (in a training set: the prediction time), if there is one.
    entity
        The columns that name what a row is about.
    rows
        Rows of each part.
    spans
        First and last time in each part, as ISO text.
    left_out
        Rows in no part, by reason: missing target, missing time, embargo.
    availability
        For each feature whose availability is declared, the moment when it is known.
    undeclared
        The features without such a declaration: taken as known at prediction time.
    dropped
        Columns that were dropped, and why.
    overlaps
        What the leak checks found: rows of later parts that are also in the training part, that are about an entity of
        it, and training rows that are later than the first row of a later part.
    contract
        What the contract that the table kept asks of a single row; empty if it was not validated on its way here.
    digest
        Of all the above.
    """

    target: str
    features: tuple[str, ...]
    method: Mapping[str, Any]
    time: str | None = None
    entity: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    spans: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    availability: Mapping[str, str] = field(default_factory=dict)
    undeclared: tuple[str, ...] = ()
    dropped: Mapping[str, str] = field(default_factory=dict)
    overlaps: Mapping[str, int] = field(default_factory=dict)
    contract: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TrainingParts:
    """What training and tuning may read of a split; a `Splits` is one.

    A step with a parameter of this type is given no more: the test part is not among its inputs, it is not loaded, and
    when it changes the step does not run again.
    """

    takes_its_own_parts_only: ClassVar[bool] = True

    train: pl.DataFrame
    validation: pl.DataFrame
    spec: SplitSpec

    def __repr__(self) -> str:
        rows = ", ".join(f"{name}={getattr(self, name).height}" for name in PARTS if hasattr(self, name))
        return f"{type(self).__name__}({rows}, target={self.spec.target!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False, init=False)
class Splits(TrainingParts):
    """Three disjoint tables with the same columns, and how they were made."""

    test: pl.DataFrame

    def __init__(self, train: pl.DataFrame, validation: pl.DataFrame, test: pl.DataFrame, spec: SplitSpec) -> None:
        # Written out, since the fields of a base class come first and the parts have an order.
        for name, value in (("train", train), ("validation", validation), ("test", test), ("spec", spec)):
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def sealed(spec: SplitSpec) -> SplitSpec:
    """The record with its digest."""
    unsealed = replace(spec, digest="")
    return replace(unsealed, digest=digest_value(asdict(unsealed)))
