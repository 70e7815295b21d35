"""What a person sees of a night's scoring, and what a script can rely on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import polars as pl
import pytest


@pytest.fixture
def numbered(trained):
    """The table of the model with a number for each row, one of them with a cell that is no number."""
    table = pl.read_csv(trained.folder / "cells.csv").with_row_index("cell")
    spoilt = pl.when(pl.col("cell") == 5).then(pl.lit("wide")).otherwise(pl.col("mean_radius").cast(pl.String))
    table.with_columns(spoilt.alias("mean_radius")).write_csv(trained.folder / "numbered.csv")
    return trained


def test_a_person_reads_what_was_scored_skipped_and_refused(numbered, tmp_path):
    to = f"sqlite:///{tmp_path}/scores.db#cells"
    order = ("score", "cells", "--source", "numbered.csv", "--to", to, "--entity", "cell")
    said = numbered(*order).out
    assert f"scored 568 of 569 rows with cells v1 into {to}" in said
    assert "1 rows could not be scored; the column error says why" in said
    again = numbered(*order, "--incremental").out
    assert "skipped 569 rows: the same inputs, scored by the same version" in again
    assert "new: 0, changed: 0, of another version: 0" in again
    with closing(sqlite3.connect(tmp_path / "scores.db")) as connection:
        ((error,),) = connection.execute("SELECT error FROM cells WHERE error IS NOT NULL").fetchall()
    assert error.startswith("column 'mean_radius' takes a number (got 'wide'")


def test_a_script_reads_progress_and_a_summary(numbered, tmp_path):
    order = ("score", "cells@1", "--source", "numbered.csv", "--to", str(tmp_path / "out"), "--entity", "cell")
    errors = tmp_path / "errors.ndjson"
    *progress, summary = numbered(*order, "--chunk-rows", "200", "--errors", str(errors), "--json").lines
    assert [(line["done"], line["rows"]) for line in progress] == [(200, 569), (400, 569), (569, 569)]
    assert (summary["status"], summary["scored"], summary["refused"]) == ("succeeded", 568, 1)
    assert [json.loads(line)["row"] for line in errors.read_text().splitlines()] == [5]


def test_a_dry_run_says_what_would_be_and_writes_nothing(numbered, tmp_path):
    order = (
        "score",
        "cells",
        "--source",
        "numbered.csv",
        "--to",
        str(tmp_path / "out"),
        "--entity",
        "cell",
        "--dry-run",
    )
    said = numbered(*order).out
    assert "would score 569 rows" in said
    assert "568 can be scored and 1 cannot" in said
    assert not (tmp_path / "out").exists()


def test_if_no_row_can_be_scored_the_exit_code_says_so(numbered, tmp_path):
    pl.read_csv(numbered.folder / "numbered.csv").with_columns(mean_radius=pl.lit("wide")).write_csv(
        numbered.folder / "w.csv"
    )
    done = numbered("score", "cells", "--source", "w.csv", "--to", str(tmp_path / "out"), "--entity", "cell", expect=4)
    assert "569 rows could not be scored" in done.out


def test_a_misspelt_entity_is_said_with_the_nearest_column(numbered, tmp_path):
    done = numbered(
        "score", "cells", "--source", "numbered.csv", "--to", str(tmp_path / "o"), "--entity", "cel", expect=4
    )
    assert "the source does not have the entity" in done.err
    assert "cell" in done.err
