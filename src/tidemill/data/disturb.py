"""Disturb a table on purpose, and say what was done: drift and faults for checks to find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError
from tidemill.data.generation.damage import DAMAGES
from tidemill.data.generation.disturbances import Disturbance, disturbance_from_dict
from tidemill.data.generation.striking import STRUCK, Draws, first_row
from tidemill.data.types import Tabular, collected, require_columns
from tidemill.engine.step import step


@dataclass(frozen=True, slots=True)
class Injected:
    """The truth about one disturbance.

    Parameters
    ----------
    kind
        Of the disturbance.
    columns
        The columns that it struck; none for whole rows.
    rows
        How many rows of the result it struck.
    removed, added
        How many rows it took away or put in.
    since
        The row in which it began, when it was done.
    disturbance
        The record itself, as a mapping.
    """

    kind: str
    columns: tuple[str, ...]
    rows: int
    removed: int
    added: int
    since: int
    disturbance: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Disturbed:
    """The disturbed table, the truth about each disturbance, and a flag for each row of the table and disturbance.

    The columns of `marks` are numbered like the disturbances: ``"0"``, ``"1"``, ….
    """

    table: pl.DataFrame
    truth: tuple[Injected, ...]
    marks: pl.DataFrame


@step(stage="disturb")
def disturb(table: Tabular, disturbances: Sequence[Disturbance | Mapping[str, Any]], *, seed: int = 0) -> Disturbed:
    """Do the disturbances one after the other, and return the truth about them with the table.

    Parameters
    ----------
    table
        A lazy or eager frame, or a result that holds one.
    disturbances
        Records from `tidemill.data.generation.disturbances`, or their mappings (``{"kind": "nulls", …}``).
    seed
        For the choice of rows; the same on every machine.

    Raises
    ------
    ConfigError
        If a disturbance does not fit the table; the message names it.

    Examples
    --------
    >>> from tidemill.data.generation.disturbances import UnitChange
    >>> out = disturb(pl.DataFrame({"miles": [100.0] * 4}), [UnitChange("miles", 1.609344)])
    >>> out.table["miles"].to_list(), out.truth[0].rows
    ([100.0, 100.0, 160.9344, 160.9344], 2)
    """
    frame = collected(table)
    truth = []
    for index, given in enumerate(disturbances):
        disturbance = disturbance_from_dict(given) if isinstance(given, Mapping) else given
        columns = _columns(disturbance)
        require_columns(frame, columns, purpose=disturbance.kind)
        try:
            changed = DAMAGES[disturbance.kind](frame, disturbance, Draws(seed, index))
        except pl.exceptions.PolarsError as error:
            raise ConfigError(
                f"the disturbance {disturbance.kind!r} does not fit the table: {str(error).splitlines()[0]}",
                value=disturbance,
            ) from error
        truth.append(
            Injected(
                disturbance.kind,
                columns,
                int(changed[STRUCK].sum()),
                max(0, frame.height - changed.height),
                max(0, changed.height - frame.height),
                first_row(frame.height, getattr(disturbance, "since", 0.0)),
                asdict(disturbance),
            )
        )
        frame = changed.rename({STRUCK: f"{STRUCK}:{index}"})
    flags = [f"{STRUCK}:{index}" for index in range(len(truth))]
    marks = frame.select(pl.col(flag).alias(flag.removeprefix(f"{STRUCK}:")) for flag in flags)
    return Disturbed(frame.drop(flags), tuple(truth), marks)


def _columns(disturbance: Disturbance) -> tuple[str, ...]:
    one = getattr(disturbance, "column", None)
    return (one,) if one is not None else tuple(getattr(disturbance, "columns", ()))
