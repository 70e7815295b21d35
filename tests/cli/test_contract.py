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
    assert "Did you mean 'weather.csv'?" in small("contract", "infer", "wether.csv", expect=3).err
    assert "exists" in small("contract", "infer", "weather.csv", "--out", "new.toml", expect=2).err
    assert "no such file" in small("contract", "check", "weather.csv", "--contract", "gone.toml", expect=3).err
    assert "no contract of this name" in small("contract", "check", "weather.csv", "--contract", "gone", expect=3).err


def test_a_table_is_read_as_its_options_say(small):
    (small.folder / "masses.csv").write_text("name;mass (g)\nann;12\nben;NA\n")
    text = small("contract", "infer", "masses.csv", "--option", "null_values=NA").out
    assert 'type = "int64"' in text
    (small.folder / "masses.toml").write_text(text)
    asked = ["contract", "check", "masses.csv", "--contract", "masses.toml"]
    assert small.json(*asked, "--option", "null_values=NA")["status"] == "kept"
    assert "mass (g)" in small(*asked, expect=4).err
    (small.folder / "heavy.toml").write_text("name = 'm'\n[[checks]]\nname = 'heavy'\ncondition = 'mass (g) > 1'\n")
    assert "double quotes" in small(*asked[:-1], "heavy.toml", expect=2).err


def test_a_file_that_cannot_hold_the_quarantine_is_refused_before_anything_is_read(small):
    asked = ["contract", "check", "gone.csv", "--contract", "gone.toml", "--quarantine", "bad.csv"]
    assert ".parquet" in small(*asked, expect=2).err


def test_a_difference_of_whole_rules_is_said_as_it_is_written(small):
    (small.folder / "one.toml").write_text('name = "weather"\n')
    (small.folder / "two.toml").write_text('name = "weather"\n[[checks]]\nname = "day"\ncondition = "wind > 0"\n')
    there, back = small("contract", "diff", "one.toml", "two.toml"), small("contract", "diff", "two.toml", "one.toml")
    assert there.out == "check day: new, condition = 'wind > 0' (stricter)\n"
    assert back.out == "check day: gone, it was condition = 'wind > 0' (laxer)\n"


def test_errors_of_the_table_do_not_become_its_contract(small):
    """A contract that allows -999 because the table had it lets every later -999 pass."""
    lines = [f"EWR,{10 + day % 9}.5" for day in range(90)] + ["JFK,-999", "JFK,-999", "JFK,-999", "EWR,9999"]
    (small.folder / "weather.csv").write_text("origin,wind\n" + "\n".join(lines) + "\n")
    shown = small("contract", "infer", "weather.csv")
    assert "[columns.wind]\n# left out as errors: wind: " in shown.out
    assert "warning left out as errors: wind: " in shown.err
    assert "-999" in shown.err
    line = small.json("contract", "infer", "weather.csv", "--out", "weather.toml")
    wind = next(rule for rule in line["contract"]["columns"] if rule["name"] == "wind")
    assert (wind["minimum"] > 9, wind["maximum"] < 20) == (True, True)
    assert list(line["left_out"]) == ["wind"]
    checked = small("contract", "check", "weather.csv", "--contract", "weather.toml").out
    assert "94 rows, 90 valid, 4 in quarantine" in checked


def test_a_contract_of_an_older_project_is_read_as_json(small):
    (small.folder / "weather.csv").write_text(CSV)
    (small.folder / "contract.json").write_text('{"name": "weather", "columns": [{"name": "wind", "maximum": 9}]}')
    assert small("contract", "show", "contract.json").out.endswith("[columns.wind]\nmaximum = 9\n")
    assert small.json("contract", "save", "contract.json")["contract"]["version"] == 1
    (small.folder / "contract.json").write_text("name = 5")
    assert "not JSON" in small("contract", "show", "contract.json", expect=2).err
