"""`tidemill sources` answers what a pipeline would read: which bytes, since when, and how far each cursor has come."""

from __future__ import annotations

import hashlib

import pytest

TOML = """
[project]
name = "shop"

[sources.orders]
uri = "data/*.csv"
event_time = "ordered_at"
cursor = "ordered_at"
available_at = { waited = "served_at" }

[sources.sales]
uri = "postgresql://ann:s3cret@db/sales"
table = "sales"
"""
ORDERS = """ordered_at,served_at,waited
2026-01-30T08:00:00,2026-01-30T08:04:00,4
2026-01-31T09:30:00,2026-01-31T09:32:00,2
"""
PIPELINE = """
import polars as pl
import tidemill as tm


@tm.pipeline
def report() -> pl.DataFrame:
    return tm.read("orders")
"""


@pytest.fixture
def shop(tidemill):
    tidemill.write(pipeline=PIPELINE)
    (tidemill.folder / "tidemill.toml").write_text(TOML)
    (tidemill.folder / "data").mkdir()
    (tidemill.folder / "data" / "orders.csv").write_text(ORDERS)
    return tidemill


def test_declared_sources_are_listed_without_their_secrets_and_without_reading_them(shop):
    out = shop("sources").out
    assert [line.split()[0] for line in out.splitlines()] == ["source", "orders", "sales"]
    assert "s3cret" not in out
    done = shop("sources", "--json")
    assert [line["source"]["name"] for line in done.lines[:-1]] == ["orders", "sales"]
    assert done.summary == {"status": "listed", "sources": 2}
    assert "s3cret" not in done.out


def test_a_project_without_sources_says_how_to_declare_one(tidemill):
    assert "[sources.NAME]" in tidemill("sources").out
    assert tidemill.json("sources") == {"status": "listed", "sources": 0}


def test_one_source_is_shown_with_its_bytes_and_their_provenance(shop):
    out = shop("sources", "orders").out
    assert out.startswith("orders  data/*.csv\n2 rows, 3 columns, ")
    digest = hashlib.sha256(ORDERS.encode()).hexdigest()
    assert digest[:16] in out
    assert "data/orders.csv" in out
    assert ["waited", "int64", "served_at"] in [line.split() for line in out.splitlines()]
    assert "cursor ordered_at: no pipeline has read it yet" in out
    found = shop.json("sources", "orders")["source"]
    assert found["files"] == [
        {"path": "data/orders.csv", "size": len(ORDERS), "digest": digest, "partition": []},
    ]
    assert (found["format"], found["rows"], found["cursor"]) == ("csv", 2, "ordered_at")
    assert found["read_at"] > 1_700_000_000_000_000
    assert not (shop.folder / ".tidemill").exists()  # to look does not make a store


def test_the_fingerprint_is_another_one_when_the_data_are(shop):
    before = shop.json("sources", "orders")["source"]["fingerprint"]
    with (shop.folder / "data" / "orders.csv").open("a") as file:
        file.write("2026-02-01T08:00:00,2026-02-01T08:09:00,9\n")
    assert shop.json("sources", "orders")["source"]["fingerprint"] != before


def test_cursors_stand_where_the_last_good_run_of_each_pipeline_ended(shop):
    run = shop.json("run", "report")["run"]
    out = shop("sources", "orders").out
    assert run in out
    assert "2026-01-31 09:30:00" in out
    (line, summary) = shop("sources", "orders", "--json").lines
    assert (line["cursor"]["pipeline"], line["cursor"]["run"]) == ("report", run)
    assert line["cursor"]["value"] == "2026-01-31T09:30:00"
    assert summary["status"] == "found"


def test_a_file_needs_no_project(tidemill):
    (tidemill.folder / "a.tsv").write_text("x\ty\n1\t2\n")
    out = tidemill("sources", "a.tsv").out
    assert "1 rows, 2 columns" in out
    assert {path.name for path in tidemill.folder.iterdir()} == {"a.tsv"}
    assert "no file, folder or source" in tidemill("sources", "b.parquet", expect=3).err


def test_a_declared_column_that_is_not_there_is_said(shop):
    """Else it shows when the nightly run reads incrementally."""
    toml = shop.folder / "tidemill.toml"
    toml.write_text(toml.read_text().replace('cursor = "ordered_at"', 'cursor = "ordered_on"'))
    err = shop("sources", "orders").err
    assert "warning cursor = 'ordered_on' is no column of source 'orders': it cannot be read incrementally." in err
    assert "Did you mean 'ordered_at'?" in err
    assert "event_time" not in err
    lines = shop("sources", "orders", "--json").lines
    assert [line["warning"].partition(" =")[0] for line in lines if "warning" in line] == ["cursor"]
