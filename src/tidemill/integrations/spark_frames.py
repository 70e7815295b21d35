"""Spark tables as what steps take and return: stored as Parquet like every table."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import polars as pl

from tidemill.engine.materialisers import frames_arrow
from tidemill.integrations.spark_errors import failures
from tidemill.integrations.spark_session import session_for_steps
from tidemill.integrations.spark_tables import given, received


def to_polars(frame: Any) -> pl.DataFrame | pl.LazyFrame:
    """The same table as a lazy frame that can be read once; what it reads is on disk for as long as it is in use."""
    folder = Path(mkdtemp(prefix="tidemill-spark-"))
    try:
        with failures("compute the table that a step returned"):
            lazy = frames_arrow.to_polars(received(frame, folder))
    except BaseException:
        shutil.rmtree(folder)
        raise
    weakref.finalize(lazy, shutil.rmtree, folder)
    return lazy


def read_parquet(path: Path, _kind: str) -> Any:
    """The table in a Parquet file as a Spark table, in the session of this process."""
    session = session_for_steps()
    with failures("take a stored table"):
        return given(path, session)
