"""Narwhals frames: a table in whatever engine is inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from tidemill.engine.materialisers.frames import converter, frame_kind


def to_polars(frame: Any) -> pl.DataFrame | pl.LazyFrame:
    """The same table held by Polars: what is inside is converted as it would be without Narwhals around it."""
    native = frame.to_native()
    if isinstance(native, pl.DataFrame | pl.LazyFrame):
        return native
    kind = frame_kind(type(native))
    if kind is not None:
        return converter(kind).to_polars(native)
    converted: pl.DataFrame = frame.collect("polars").to_native() if hasattr(frame, "collect") else frame.to_polars()
    return converted


def read_parquet(path: Path, kind: str) -> Any:
    """The table in a Parquet file as a Narwhals frame with Polars inside."""
    return nw.from_native(
        pl.scan_parquet(path, glob=False) if kind.endswith("LazyFrame") else pl.read_parquet(path, glob=False)
    )
