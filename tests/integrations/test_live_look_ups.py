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
    wide = f'[sources.wide]\nuri = "{database.uri}"\ntable = "wide"'
    declared = f'uri = "{database.uri}"\ntable = "flights"'
    (tmp_path / "tidemill.toml").write_text(f'[project]\nname = "flights"\n[sources.flights]\n{declared}\n{wide}\n')
    with use_project(load_project(tmp_path)):
        yield lambda column, entity: SourceRows("flights", column, SIGNATURE).newest(entity)


def test_the_row_of_a_number_and_of_a_word_is_found(newest: Newest) -> None:
    assert newest("id", "1")["origin"] == "EWR"
    assert newest("origin", "JFK")["id"] == 2


ODD = ["nobody", "", "9" * 30, "1.5", "it's", "NULL", "-1", "01", "1.0", " 1"]


@pytest.mark.parametrize(
    ("column", "entity"), [*(("id", odd) for odd in [*ODD, "١", "é☃"]), *(("origin", odd) for odd in ODD)]
)
def test_what_the_column_cannot_hold_is_nobody(newest: Newest, column: str, entity: str) -> None:
    assert newest(column, entity) is None


def test_keys_of_64_bits_are_found_with_all_their_digits(newest: Newest, database: Any) -> None:
    database.run("CREATE TABLE wide (id BIGINT, origin VARCHAR(9), delay REAL)")
    database.run("INSERT INTO wide VALUES (1234567890123456789, 'EWR', 1.0), (1234567890123456788, 'JFK', 2.0)")
    assert SourceRows("wide", "id", SIGNATURE).newest("1234567890123456789")["origin"] == "EWR"  # type: ignore[index]


def test_a_database_that_fails_for_a_moment_is_not_one_without_the_entity(
    newest: Newest, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, failing = SourceRows._selected, ["the database is locked"]

    def once(self: SourceRows, where: str) -> Any:
        if "= 'EWR'" in where and failing:
            raise StoreUnavailableError(failing.pop())
        return read(self, where)

    monkeypatch.setattr(SourceRows, "_selected", once)
    with pytest.raises(StoreUnavailableError, match="locked"):
        newest("origin", "EWR")
    assert newest("origin", "EWR")["id"] == 3


def test_a_column_that_is_not_there_is_the_servers_fault(newest: Newest) -> None:
    with pytest.raises(StoreUnavailableError):
        newest("plane", "nobody")
