"""Every row of the file gets an answer or a reason."""

from __future__ import annotations

import csv
import json

import polars as pl
import pytest


def sample(trained, folder, change=None):
    with (trained.folder / "cells.csv").open() as file:
        rows = list(csv.DictReader(file))[:3]
    for row in rows:
        del row["target"]
    if change is not None:
        change(rows)
    path = folder / "some rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def test_rows_are_answered_on_the_screen_and_in_json(trained, tmp_path):
    rows = sample(trained, tmp_path)
    assert "probability" in trained("predict", "cells", rows).out.splitlines()[0]
    *answers, summary = trained("predict", "cells", rows, "--json").lines
    assert [answer["row"] for answer in answers] == [0, 1, 2]
    assert (summary["rows"], summary["refused"]) == (3, 0)


@pytest.mark.parametrize(("ending", "reader"), [("csv", pl.read_csv), ("parquet", pl.read_parquet)])
def test_predictions_are_written_to_a_file(trained, tmp_path, ending, reader):
    out = tmp_path / "new" / f"out.{ending}"
    assert trained.json("predict", "cells@1", sample(trained, tmp_path), "--out", str(out))["out"] == str(out)
    assert reader(out).columns == ["target", "probability", "decision"]


def test_a_row_that_cannot_be_scored_does_not_spoil_the_others(trained, tmp_path):
    def spoil(rows):
        rows[1]["mean_radius"] = "wide"

    done = trained("predict", "cells", sample(trained, tmp_path, spoil))
    assert "1 of 3 rows were refused" in done.err
    assert "mean_radius" in done.out


def test_a_table_with_the_answers_in_it_will_do_as_well(trained, tmp_path):
    out = tmp_path / "out.csv"
    summary = trained.json("predict", "cells", "cells.csv", "--out", str(out))
    assert (summary["rows"], summary["refused"]) == (569, 0)
    known = pl.read_csv(trained.folder / "cells.csv")["target"].cast(pl.Boolean)
    assert (pl.read_csv(out)["target"] == known).mean() > 0.9


def test_columns_that_the_model_does_not_take_are_left_aside_unless_one_of_its_own_is_missing(trained, tmp_path):
    def more(rows):
        for number, row in enumerate(rows):
            row["patient"] = f"P-{number}"

    def misspelt(rows):
        for row in rows:
            row["mean_raduis"] = row.pop("mean_radius")

    done = trained("predict", "cells", sample(trained, tmp_path, more))
    assert "left aside what the model does not take: patient" in done.err
    assert "error" not in done.out
    done = trained("predict", "cells", sample(trained, tmp_path, misspelt), expect=4)
    assert "not in the file: 'mean_radius'" in done.err
    assert "'mean_raduis'" in done.err
    assert trained.json("predict", "cells", sample(trained, tmp_path, more), "--out", str(tmp_path / "o.csv"))[
        "left_aside"
    ] == ["patient"]


def test_if_no_row_can_be_scored_the_exit_code_says_so(trained, tmp_path):
    def spoil(rows):
        for row in rows:
            row["mean_radius"] = "wide"

    done = trained("predict", "cells", sample(trained, tmp_path, spoil), expect=4)
    assert "the first one: row 0, column mean_radius, value 'wide'" in done.err


def test_mistakes_are_found_before_any_work(trained, tmp_path):
    rows = sample(trained, tmp_path)
    assert "would replace the rows" in trained("predict", "cells", rows, "--out", rows, expect=2).err
    assert "Give one of" in trained("predict", "cells", rows, "--out", "x.xls", expect=2).err
    trained("predict", "cells", "nowhere.csv", expect=2)
    trained("predict", "cels", rows, expect=3)
    (tmp_path / "rows.xls").write_text("")
    assert "this kind of file" in trained("predict", "cells", str(tmp_path / "rows.xls"), expect=2).err


def test_a_row_keeps_its_number_beyond_the_rows_that_are_looked_at_together(trained, tmp_path):
    file = tmp_path / "many.csv"
    rows = pl.read_csv(trained.folder / "cells.csv", infer_schema=False)
    many = pl.concat([rows] * 18).drop("target")
    spoilt = pl.when(pl.int_range(pl.len()) == 10_001).then(pl.lit("wide")).otherwise("mean_radius")
    many.with_columns(spoilt.alias("mean_radius")).write_csv(file)
    *answers, summary = trained("predict", "cells", str(file), "--json").lines
    assert (summary["rows"], summary["refused"]) == (many.height, 1)
    assert answers[10_001]["prediction"]["error"]["row"] == 10_001
    out = tmp_path / "out.parquet"
    assert "first one: row 10001" in trained("predict", "cells", str(file), "--out", str(out)).err
    told = pl.read_parquet(out)
    assert told["error.row"].drop_nulls().to_list() == [10_001]
    assert told["probability"].to_list() == [answer["prediction"].get("probability") for answer in answers]


def test_lines_of_json_are_left_what_each_of_them_has_besides(trained, tmp_path):
    (row,) = pl.read_csv(trained.folder / "cells.csv").head(1).to_dicts()
    misspelt = {"mean_raduis" if name == "mean_radius" else name: value for name, value in row.items()}
    file = tmp_path / "rows.ndjson"
    file.write_text(f"{json.dumps(row | {'patient': 'P-1'})}\n\n{json.dumps(misspelt)}\n")
    good, bad, summary = trained("predict", "cells", str(file), "--json").lines
    assert "error" not in good["prediction"]
    assert bad["prediction"]["error"]["column"] == "mean_radius"
    assert summary["left_aside"] == ["patient"]


def test_a_file_without_rows_is_predicted_too(trained, tmp_path):
    """A job that runs each night has such a night."""
    file = tmp_path / "none.parquet"
    pl.read_csv(trained.folder / "cells.csv").clear().write_parquet(file)
    assert trained.json("predict", "cells", str(file))["rows"] == 0
    out = tmp_path / "out.parquet"
    trained("predict", "cells", str(file), "--out", str(out))
    assert pl.read_parquet(out).height == 0


def test_a_broken_file_is_named_with_its_line(trained, tmp_path):
    file = tmp_path / "rows.ndjson"
    file.write_text("{}\n{]\n")
    done = trained("predict", "cells", str(file), expect=2)
    assert "rows.ndjson" in done.err
    assert "line 2" in done.err
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no PAR1")
    assert "cannot be read" in trained("predict", "cells", str(tmp_path / "rows.parquet"), expect=2).err
