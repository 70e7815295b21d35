"""`tidemill explore` is the first thing a newcomer types: it takes any table and leaves nothing behind."""

from __future__ import annotations

import polars as pl
import pytest

from tidemill.cli.given import given, looking
from tidemill.project import load_project

ROWS = 120
DELAYS = ["NA" if row % 11 == 0 else str(row % 13) for row in range(ROWS - 1)]
LINES = [f"N{row % 40};{row % 7 * 10};{delay};{row % 2}" for row, delay in enumerate(DELAYS)]
CSV = "\n".join(["tail;seats;delay;late", *LINES, "N1;10;9999;1"])
READ = ("--option", "separator=;", "--option", "null_values=NA")


@pytest.fixture
def here(tidemill):
    (tidemill.folder / "flights.csv").write_text(CSV, encoding="utf-8")
    (tidemill.folder / "mixed").mkdir()
    (tidemill.folder / "mixed" / "a.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tidemill.folder / "mixed" / "b.csv").write_text("a\n1\n", encoding="utf-8")
    planes = pl.DataFrame({"tail": [f"N{row}" for row in range(38)], "year": [1990 + row for row in range(38)]})
    planes.write_parquet(tidemill.folder / "planes.parquet")
    return tidemill


def left(tidemill) -> set[str]:
    return {path.name for path in tidemill.folder.iterdir()}


def test_a_file_is_explored_without_a_project_and_nothing_is_left_behind(here):
    before = left(here)
    out = here("explore", "flights.csv", *READ, "--target", "late").out
    assert out.startswith("flights.csv (")
    assert "120 rows × 4 columns" in out
    assert "sentinel" in out
    assert "delay" in out
    assert "\x1b" not in out
    assert left(here) == before


def test_options_of_reading_reach_the_reader(here):
    assert "120 rows × 1 columns" in here("explore", "flights.csv", "--option", "separator=|").out
    lines = here("explore", "flights.csv", *READ, "--columns", "tail, delay", "--where", "delay > 5", "--json").lines
    columns = {line["column"]["name"]: line["column"] for line in lines if "column" in line}
    assert list(columns) == ["tail", "delay"]
    assert columns["delay"]["minimum"] == 6
    assert "dates in" not in here("explore", "*.parquet", "--sample", "10").out
    sampled = here.json("explore", "planes.parquet", "--sample", "10")
    assert sampled["rows"] == 10
    assert sampled["basis"]["table"] == "a sample of 10 of 38 rows"


def test_a_sample_has_as_many_rows_as_it_was_asked_for_also_of_a_large_table(tmp_path):
    pl.DataFrame({"row_number": range(90_000)}).write_parquet(tmp_path / "rows.parquet")
    with looking(load_project(tmp_path)) as project:
        found = given(str(tmp_path / "rows.parquet"), project, sample=60_000)
        rows = found.table.collect()["row_number"].to_list()
    assert len(rows) == 60_000
    assert rows == sorted(rows)
    assert rows[-1] > 89_990


def test_a_password_in_an_address_is_not_shown(here):
    done = here("explore", "https://ann:s3cret@127.0.0.1:1/nowhere.csv", "--json", expect=None)
    assert done.code in (2, 3, 4)
    assert "ann:***@127.0.0.1" in done.out
    assert "s3cret" not in done.out + done.err


def test_json_has_every_part_and_ends_with_a_summary(here):
    done = here(
        "explore", "flights.csv", *READ, "--target", "late", "--json",
        "--reference", "planes=planes.parquet", "--part", "again=planes.parquet",
    )  # fmt: skip
    kinds = {next(iter(line)) for line in done.lines}
    assert {"column", "finding", "relation", "missing"} <= kinds
    assert done.summary["status"] == "succeeded"
    assert (done.summary["rows"], done.summary["columns"], done.summary["exit_code"]) == (ROWS, 4, 0)
    found = {line["finding"]["kind"]: line["finding"] for line in done.lines if "finding" in line}
    assert sum(done.summary["findings"].values()) == len([line for line in done.lines if "finding" in line])
    assert found["orphan_keys"]["column"] == "tail"
    semantic = {line["column"]["name"]: line["column"]["semantic"]["type"] for line in done.lines if "column" in line}
    assert semantic == {"tail": "category", "seats": "count", "delay": "number", "late": "boolean"}


def test_a_page_is_written_only_where_it_is_asked_for(here):
    done = here("explore", "flights.csv", *READ, "--html", "new/page.html")
    page = (here.folder / "new" / "page.html").read_text(encoding="utf-8")
    assert "wrote new/page.html (" in done.out
    assert page.startswith("<!doctype html>")
    assert "flights.csv" in page
    before = (here.folder / "flights.csv").read_bytes()
    assert "ends in .html" in here("explore", "flights.csv", "--html", "flights.csv", expect=2).err
    assert (here.folder / "flights.csv").read_bytes() == before


def test_findings_fail_only_a_script_that_asks_for_it(here):
    assert "sentinel" in here("explore", "flights.csv", *READ).out
    done = here("explore", "flights.csv", *READ, "--fail-on", "error", expect=4)
    assert "sentinel" in done.out
    assert "sentinel" in done.err
    summary = here("explore", "flights.csv", *READ, "--fail-on", "warning", "--json", expect=4).summary
    assert (summary["status"], summary["exit_code"]) == ("error", 4)
    assert summary["findings"]["error"] == 1
    here("explore", "planes.parquet", "--fail-on", "warning")


def test_declared_sources_come_first_and_paths_count_from_here(here):
    toml = '[project]\nname = "p"\n[sources.trips]\nuri = "flights.csv"\nseparator = ";"\nnull_values = ["NA"]\n'
    (here.folder / "tidemill.toml").write_text(toml)
    assert "120 rows × 4 columns" in here("explore", "trips").out
    inner = here.folder / "inner"
    inner.mkdir()
    (here.folder / "planes.parquet").rename(inner / "planes.parquet")
    here_inner = type(here)(inner)
    assert "38 rows" in here_inner("explore", "planes.parquet").out
    assert "120 rows × 4 columns" in here_inner("explore", "trips").out
    assert "38 rows" in here("explore", "inner").out
    assert ".tidemill" not in left(here)
    assert "Did you mean 'trips'?" in here("explore", "trip", expect=3).err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["flihgts.csv"], 3, "Did you mean 'flights.csv'?"),
        (["nowhere/x.csv"], 3, "declared source (there are: none)"),
        (["flights.csv", "--option", "seperator=;"], 2, "Did you mean 'separator'?"),
        (["flights.csv", "--option", "separator"], 2, "name=value"),
        (["flights.csv", "--option", "infer_rows=many"], 2, "infer_rows cannot be read"),
        (["flights.csv", "--target", "lat"], 4, "explore needs columns"),
        (["flights.csv", "--columns", "x"], 4, "'x'"),
        (["flights.csv", "--where", "delay >"], 2, "SQL condition"),
        (["flights.csv", "--since", "2013-01-01"], 2, "--option event_time=COLUMN"),
        (["flights.csv", "--option", "null_values=NA,."], 2, "one value at a time"),
        (["flights.csv", "--part", "test"], 2, "NAME=FILE"),
        (["flights.csv", "--memory", "much"], 2, "2GiB"),
        (["flights.csv", "--sample", "0"], 2, "--sample"),
        (["mixed"], 4, "different columns"),
        (["ftp2://x/y.csv"], 2, "no source reads the scheme"),
    ],
)
def test_a_mistake_is_explained_on_one_screen(here, arguments, code, says):
    err = here("explore", *arguments, expect=code).err
    assert says in err
    assert len(err.splitlines()) <= 6


def test_lines_that_were_left_out_are_said(here):
    (here.folder / "ragged.csv").write_text("a,b\n1,2\n3,4,5\n6,7\n")
    done = here("explore", "ragged.csv", "--option", "bad_lines=quarantine")
    assert "2 rows" in done.out
    assert "warning 1 bad lines" in done.err
    lines = here("explore", "ragged.csv", "--option", "bad_lines=quarantine", "--json").lines
    assert "1 bad lines" in lines[0]["warning"]
