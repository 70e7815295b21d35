"""Tables made of records that came from elsewhere, with the types that their source declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tidemill.core.errors import SchemaError
from tidemill.data.sources.csv_types import narrowed


def as_declared(frame: pl.DataFrame, fixed: Mapping[str, pl.DataType], source: str) -> pl.DataFrame:
    """The table with the types that its source declares; a declared column that did not come is missing in every row.

    Raises
    ------
    SchemaError
        If a value is not of its column's type.
    """
    columns: list[Any] = []
    for name, kind in fixed.items():
        try:
            if name not in frame.columns:
                columns.append(pl.lit(None, dtype=kind).alias(name))
            elif kind.is_temporal() and frame[name].dtype == pl.String:
                columns.append(narrowed(frame[name], dates=True, numbers=False).cast(kind))
            else:
                columns.append(frame[name].cast(kind))
        except pl.exceptions.PolarsError as error:
            raise SchemaError(
                f"column {name!r} of source {source!r} does not hold values of its declared type: "
                f"{str(error).splitlines()[0]}",
                hint="Correct the source's schema option, or leave the column out of it.",
            ) from error
    return frame.with_columns(columns)
