"""`tidemill generate` makes one table for one seed, says what it broke, and replaces no file unasked."""

from __future__ import annotations

import polars as pl
import pytest

import tidemill as tm

SHIPS = """
[[tables]]
name = "ships"
rows = 40
columns.ship = { kind = "serial", prefix = "S" }
columns.tonnes = { kind = "whole", low = 500, high = 9000 }

[[tables]]
name = "trips"
rows = 600
[tables.columns]
ship = { kind = "reference", table = "ships", column = "ship" }
port = { kind = "reference", table = "ports", column = "port" }
miles = { kind = "log_normal", median = 400, sigma = 0.5, decimals = 1 }
"""
ONE = 'rows = 50\ncolumns.load = { kind = "normal", mean = 700, std = 90, decimals = 1 }\n'
FAULTS = """
[[disturbances]]
kind = "unit_change"
column = "load"
factor = 2.2046226
since = 0.5

[[disturbances]]
kind = "duplicated_batch"
since = 0.2
share = 0.1
"""
CIRCLE = """
[[tables]]
name = "a"
columns.x = { kind = "reference", table = "b", column = "y" }
[[tables]]
name = "b"
columns.y = { kind = "reference", table = "a", column = "x" }
"""


@pytest.fixture
def here(tidemill):
    tidemill.folder.joinpath("ships.toml").write_text(SHIPS)
    tidemill.folder.joinpath("loads.toml").write_text(ONE)
    tidemill.folder.joinpath("faults.toml").write_text(FAULTS)
    tidemill.folder.joinpath("circle.toml").write_text(CIRCLE)
    pl.DataFrame({"port": ["Bergen", "Porto"]}).write_csv(tidemill.folder / "ports.csv")
    pl.DataFrame({"id": range(30), "mass": [row / 7 for row in range(30)]}).write_csv(tidemill.folder / "real.csv")
    return tidemill


def left(tidemill) -> set[str]:
    return {path.name for path in tidemill.folder.iterdir()}


def test_the_same_seed_makes_the_same_table_as_in_python(here):
    out = here("generate", "loads.toml", "--rows", "80", "--seed", "3", "-o", "made/a.parquet").out
    assert "wrote made/a.parquet (80 rows × 1 columns" in out
    spec = {"name": "loads", "columns": {"load": {"kind": "normal", "mean": 700, "std": 90, "decimals": 1}}}
    made = pl.read_parquet(here.folder / "made" / "a.parquet")
    assert made.equals(tm.generate(spec, 80, seed=3))
    assert not made.equals(tm.generate(spec, 80, seed=4))


def test_a_table_of_several_is_made_with_those_that_it_points_into(here):
    made = here.json(
        "generate", "ships.toml", "--table", "trips", "--reference", "ports=ports.csv", "--seed", "1", "-o", "t.csv"
    )
    assert (made["status"], made["rows"], made["seed"]) == ("succeeded", 600, 1)
    assert made["columns"] == {"ship": "string", "port": "string", "miles": "float64"}
    here("generate", "ships.toml", "--table", "ships", "--seed", "1", "-o", "s.csv")
    trips, ships = pl.read_csv(here.folder / "t.csv"), pl.read_csv(here.folder / "s.csv")
    assert trips["ship"].is_in(ships["ship"].implode()).all()
    assert set(trips["port"]) == {"Bergen", "Porto"}
    assert left(here) >= {"t.csv", "s.csv"}
    assert ".tidemill" not in left(here)


def test_a_table_like_a_real_one_has_its_values_and_new_keys(here):
    here("generate", "real.csv", "--rows", "200", "--keys", "id", "--jitter", "0.1", "-o", "like.ndjson")
    made = pl.read_ndjson(here.folder / "like.ndjson")
    assert made.height == 200
    assert made["id"].n_unique() == 200
    assert made["mass"].is_between(0, 29 / 7).all()
    assert made["mass"].n_unique() > 30


def test_what_was_broken_is_said_and_the_rows_of_a_table_can_be_kept(here):
    done = here("generate", "loads.toml", "--disturb", "faults.toml", "-o", "broken.csv")
    assert "unit_change" in done.out
    assert "duplicated_batch" in done.out
    lines = here("generate", "loads.toml", "--disturb", "faults.toml", "-o", "again.csv", "--json").lines
    assert [line["disturbed"]["kind"] for line in lines[:-1]] == ["unit_change", "duplicated_batch"]
    assert (lines[0]["disturbed"]["rows"], lines[1]["disturbed"]["added"]) == (25, 5)
    assert lines[-1]["rows"] == 55
    assert (here.folder / "again.csv").read_bytes() == (here.folder / "broken.csv").read_bytes()
    here("generate", "real.csv", "--as-is", "-o", "same.csv")
    assert (here.folder / "same.csv").read_bytes() == (here.folder / "real.csv").read_bytes()


def test_a_dry_run_shows_the_table_and_writes_nothing(here):
    before = left(here)
    out = here("generate", "loads.toml", "--dry-run", "-o", "never.csv").out
    assert "50 rows × 1 columns; nothing was written" in out
    planned = here.json("generate", "loads.toml", "--dry-run", "-o", "never.csv")
    assert (planned["status"], planned["out"]) == ("planned", None)
    assert left(here) == before


def test_a_file_is_replaced_only_where_it_is_asked_for(here):
    before = (here.folder / "ports.csv").read_bytes()
    assert "--force" in here("generate", "loads.toml", "-o", "ports.csv", expect=2).err
    assert (here.folder / "ports.csv").read_bytes() == before
    here("generate", "loads.toml", "-o", "ports.csv", "--force")
    assert (here.folder / "ports.csv").read_bytes() != before
    assert "made from" in here("generate", "real.csv", "-o", "real.csv", "--force", expect=2).err
    assert not [name for name in left(here) if name.startswith(".")]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["loads.toml"], 2, "-o"),
        (["nowhere.toml", "--dry-run"], 3, "nowhere.toml"),
        (["rael.csv", "--dry-run"], 3, "Did you mean 'real.csv'?"),
        (["loads.toml", "-o", "made.xlsx"], 2, ".parquet"),
        (["ships.toml", "--dry-run"], 2, "--table ships or trips"),
        (["ships.toml", "--table", "boats", "--dry-run"], 2, "--table ships or trips"),
        (["ships.toml", "--table", "trips", "--dry-run"], 3, "--reference ports="),
        (["circle.toml", "--table", "a", "--dry-run"], 2, "a → b → a"),
        (["loads.toml", "--jitter", "0.1", "--dry-run"], 2, "--jitter belongs to a real table"),
        (["real.csv", "--table", "x", "--dry-run"], 2, "--table belongs to a specification"),
        (["real.csv", "--as-is", "--rows", "5", "--dry-run"], 2, "--as-is keeps the rows"),
        (["real.csv", "--keys", "di", "--dry-run"], 4, "di"),
        (["loads.toml", "--rows", "-1", "--dry-run"], 2, "--rows"),
        (["loads.toml", "--disturb", "ships.toml", "--dry-run"], 2, "[[disturbances]]"),
        (["real.csv", "--disturb", "faults.toml", "--dry-run"], 4, "load"),
    ],
)
def test_a_mistake_is_explained_on_one_screen_and_leaves_nothing(here, arguments, code, says):
    before = left(here)
    err = here("generate", *arguments, expect=code).err
    assert says in err
    assert len(err.splitlines()) <= 6
    assert left(here) == before
