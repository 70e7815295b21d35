"""Whoever asks for an entity that a database cannot have is told that there is none, not that the database is down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.core.errors import StoreUnavailableError
from tidemill.core.model import Signature
from tidemill.core.schema import Column, TableSchema
from tidemill.project import load_project, use_project
from tidemill.serving.scoring.lookups import SourceRows

INPUTS = TableSchema((Column("origin", "string"), Column("delay", "float64")))
SIGNATURE = Signature(INPUTS, "binary", "late", ("false", "true"))
Newest = Callable[[str, str], Any]


@pytest.fixture
def newest(tmp_path: Path, database: Any) -> Iterator[Newest]:
    declared = f'uri = "{database.uri}"\ntable = "flights"'
    (tmp_path / "tidemill.toml").write_text(f'[project]\nname = "flights"\n[sources.flights]\n{declared}\n')
    with use_project(load_project(tmp_path)):
        yield lambda column, entity: SourceRows("flights", column, SIGNATURE).newest(entity)


def test_the_row_of_a_number_and_of_a_word_is_found(newest: Newest) -> None:
    assert newest("id", "1")["origin"] == "EWR"
    assert newest("origin", "JFK")["id"] == 2


@pytest.mark.parametrize("entity", ["nobody", "", "9" * 30, "1.5", "١", "it's", "é☃", "NULL", "-1"])
@pytest.mark.parametrize("column", ["id", "origin"])
def test_what_the_column_cannot_hold_is_nobody(newest: Newest, column: str, entity: str) -> None:
    assert newest(column, entity) is None


def test_a_column_that_is_not_there_is_the_servers_fault(newest: Newest) -> None:
    with pytest.raises(StoreUnavailableError):
        newest("plane", "nobody")
