"""A contract that only Python can check is not checked by whoever delivers the table."""

from __future__ import annotations

import polars as pl

CSV = "origin,wind\nEWR,10.5\nJFK,7.0\nEWR,12.0\n"
BAD = "origin,wind\nEWR,10.5\nJFK,1048.0\nLGA,7.0\nEWR,8.0\n"
CONTRACT = """
name = "weather"
[columns.wind]
maximum = 200
severity = "{severity}"
[columns.origin]
values = ["EWR", "JFK"]
"""


def test_a_table_is_checked_against_a_file_and_its_bad_rows_are_written(small):
    (small.folder / "weather.csv").write_text(BAD)
    (small.folder / "weather.toml").write_text(CONTRACT.format(severity="quarantine"))
    shown = small("contract", "check", "weather.csv", "--contract", "weather.toml", "--quarantine", "bad.parquet").out
    assert "weather: 4 rows, 2 valid, 2 in quarantine; 2 rules, 2 broken" in shown
    assert "wind > 200" in shown
    assert pl.read_parquet(small.folder / "bad.parquet")["reasons"].to_list() == [
        ["wind > 200"],
        ["origin not in its set"],
    ]
    (small.folder / "weather.toml").write_text(CONTRACT.format(severity="fail"))
    failed = small("contract", "check", "weather.csv", "--contract", "weather.toml", "--json", expect=4).lines
    assert failed[0]["status"] == "failed"
    assert {item["rule"]: item["severity"] for item in failed[0]["outcomes"]}["wind > 200"] == "fail"
    assert "ContractError" in str(failed[-1])


def test_versions_are_saved_listed_and_compared(small):
    for maximum in (200, 150):
        (small.folder / "weather.toml").write_text(f'name = "weather"\n[columns.wind]\nmaximum = {maximum}\n')
        small("contract", "save", "weather.toml")
    listed = small("contract", "versions", "weather").out
    assert "weather@1" in listed
    assert "column wind: maximum: 200 -> 150 (stricter)" in listed
    assert small("contract", "diff", "weather@2", "weather@1").out.strip() == "column wind: maximum: 150 -> 200 (laxer)"
    assert "maximum = 150" in small("contract", "show", "weather").out
    small("contract", "show", "weather@3", expect=3)
    (small.folder / "weather.csv").write_text(CSV)
    assert small.json("contract", "check", "weather.csv", "--contract", "weather@1")["status"] == "kept"
    editor = small.folder / "editor.sh"
    editor.write_text("#!/bin/sh\nsed -i s/150/100/ $1\n")
    editor.chmod(0o755)
    assert "150 -> 100 (stricter)" in small("contract", "edit", "weather", EDITOR=str(editor)).out


def test_a_contract_is_inferred_and_mistakes_are_named(small):
    (small.folder / "weather.csv").write_text(CSV)
    small("contract", "infer", "weather.csv", "--out", "new.toml")
    assert 'name = "weather"' in (small.folder / "new.toml").read_text()
    assert "exists" in small("contract", "infer", "weather.csv", "--out", "new.toml", expect=2).err
    assert "no such file" in small("contract", "check", "weather.csv", "--contract", "gone.toml", expect=3).err
    assert "no contract of this name" in small("contract", "check", "weather.csv", "--contract", "gone", expect=3).err
