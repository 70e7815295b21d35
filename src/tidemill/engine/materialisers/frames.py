"""The kinds of data frame, told apart by name, and the module that converts each: no engine is imported unasked."""

from __future__ import annotations

import importlib
import types
from pathlib import Path
from typing import Annotated, Any, Protocol, Union, get_args, get_origin

import polars as pl

_ROOM = "tidemill.engine.materialisers"
_CONVERTERS = {
    "pandas:DataFrame": f"{_ROOM}.frames_pandas",
    "pyarrow:Table": f"{_ROOM}.frames_arrow",
    "pyarrow:RecordBatch": f"{_ROOM}.frames_arrow",
    "pyarrow:RecordBatchReader": f"{_ROOM}.frames_arrow",
    "duckdb:DuckDBPyRelation": f"{_ROOM}.frames_duckdb",
    "narwhals:DataFrame": f"{_ROOM}.frames_narwhals",
    "narwhals:LazyFrame": f"{_ROOM}.frames_narwhals",
    "pyspark.sql.dataframe:DataFrame": "tidemill.integrations.spark_frames",
}


class Converter(Protocol):
    """A module that knows one engine's frames."""

    def to_polars(self, frame: Any) -> pl.DataFrame | pl.LazyFrame:
        """The same table held by Polars."""
        ...

    def read_parquet(self, path: Path, kind: str, /) -> Any:
        """The table in a Parquet file as this engine's frame of that class name."""
        ...


def frame_kind(kind: Any) -> str | None:
    """``"package:Class"`` of a frame's class or annotation; None if it is no frame.

    >>> frame_kind(pl.LazyFrame)
    'polars:LazyFrame'
    """
    origin = get_origin(kind)
    if origin is Annotated:
        return frame_kind(get_args(kind)[0])
    if origin in (Union, types.UnionType):
        found = [frame_kind(argument) for argument in get_args(kind) if argument is not type(None)]
        return next((one for one in found if one is not None), None)
    kind = origin or kind
    if not isinstance(kind, type):
        return None
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0].lstrip("_")
        for name in (f"{package}:{base.__qualname__}", f"{base.__module__}:{base.__qualname__}"):
            if name in _CONVERTERS or name in ("polars:DataFrame", "polars:LazyFrame"):
                return name
    return None


def converter(kind: str) -> Converter:
    """The module for a kind of frame that is not Polars's own."""
    module: Any = importlib.import_module(_CONVERTERS[kind])
    return module  # type: ignore[no-any-return]


def is_open(annotation: Any) -> bool:
    """Whether an annotation leaves the form of a value to whoever loads it.

    >>> is_open(Any), is_open(pl.DataFrame)
    (True, False)
    """
    return annotation is None or annotation is Any or annotation is object
