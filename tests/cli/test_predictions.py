"""What was asked and answered can be read back, and traced to the bytes that it was learned from."""

from __future__ import annotations

import csv
import json
import urllib.request

import pytest

from tidemill.serving.log.writer import PredictionLog


@pytest.fixture(scope="module")
def asked(trained):
    """The id of a request that a server of the trained project has answered."""
    with (trained.folder / "cells.csv").open() as file:
        row = {name: float(value) for name, value in next(csv.DictReader(file)).items() if name != "target"}
    process = trained.start("serve", "cells", "--port", "0", "--json")
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        request = urllib.request.Request(
            f"{url}/v1/models/cells/predict",
            json.dumps({"rows": [row]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            found = json.load(answer)["request_id"]
    finally:
        process.terminate()
        process.communicate(timeout=30)
    return found


def test_the_log_is_listed_and_filtered(trained, asked):
    assert asked in trained("predictions").out
    line, summary = trained("predictions", "cells", "--json").lines
    assert line["prediction"]["request_id"] == asked
    assert summary == {"status": "listed", "rows": 1, "total": 1}
    where = "\"features.mean_radius\" > 1 and status = 'answered'"
    assert trained.json("predictions", "--where", where)["total"] == 1
    assert "no predictions like that" in trained("predictions", "--where", "latency_ms < 0").out
    assert "no predictions like that" in trained("predictions", "--until", "2020-01-01").out
    assert "nothing of this model was logged yet: 'cels'" in trained("predictions", "cels", expect=3).err


def test_a_condition_that_cannot_be_read_is_explained(trained, asked):
    done = trained("predictions", "--where", "probabilty > 1", expect=2)
    assert "Columns: request_id" in done.err
    assert len(done.err.splitlines()) <= 3
    assert "valid columns" not in done.err


def test_an_input_is_found_under_the_name_that_it_has_in_the_log(trained, asked):
    done = trained("predictions", "--where", "mean_radius > 1", expect=2)
    assert """Write '"features.mean_radius"'.""" in done.err


def test_a_prediction_is_traced_to_its_source(trained, asked):
    out = trained("trace", asked).out
    assert out.startswith(f"prediction {asked}")
    assert "cells:1" in out
    assert "execution read" in out
    assert trained.json("trace", asked)["prediction"]["request_id"] == asked


@pytest.fixture
def told(trained, asked, tmp_path):
    """A file with the truth about what was asked."""
    file = tmp_path / "truth.csv"
    file.write_text(f"id,malignant,seen,note\n{asked},1,2026-01-01T00:00:00Z,x\nelsewhere,0,,y\n")
    return file


def test_labels_come_from_a_file_and_are_shown_and_counted(trained, asked, told):
    renamed = ("--column", "request_id=id", "--column", "label=malignant", "--column", "at=seen")
    assert trained("log-labels", "cells", told, *renamed).out == "wrote 2 labels of cells\n"
    assert trained.json("log-labels", "cells", told, *renamed) == {"status": "written", "labels": 2}
    (line, _) = trained("predictions", "cells", "--labels", "--json").lines
    assert line["prediction"]["label"] in ("1", "true")
    assert "label_delay_s" in trained("predictions", "--labels").out
    out = trained("predictions", "coverage", "cells").out
    assert "100.0%" in out
    assert "4 labels told, 2 of them belong to no prediction in this log" in out
    assert "nothing of this model was logged" in trained("predictions", "coverage", "cels", expect=3).err
    summary = trained("predictions", "coverage", "cells", "--json").lines[-1]
    assert (summary["rows"], summary["labelled"], summary["share"], summary["unmatched"]) == (1, 1, 1.0, 2)


def test_a_file_of_labels_that_cannot_be_taken_is_explained(trained, told, tmp_path):
    assert "needs the columns label and request_id" in trained("log-labels", "cells", told, expect=2).err
    assert "Did you mean 'id'" in trained("log-labels", "cells", told, "--column", "row=ids", expect=2).err
    assert "NAME=COLUMN" in trained("log-labels", "cells", told, "--column", "lable=malignant", expect=2).err
    wrong = ("--column", "request_id=id", "--column", "label=malignant", "--column", "at=note")
    unknown = tmp_path / "unknown.csv"
    unknown.write_text("request_id,label\na,1\nb,maybe\n")
    for flag in ([], ["--unseen"]):
        refused = trained("log-labels", "cells", unknown, *flag, expect=4).err
        assert "label 1: the model answers with yes or no: 'maybe'" in refused
    assert "label 0: at is no moment: 'x'" in trained("log-labels", "cells", told, *wrong, expect=4).err
    (tmp_path / "truth.txt").write_text("x")
    assert "Use .csv" in trained("log-labels", "cells", tmp_path / "truth.txt", expect=2).err
    (tmp_path / "empty.csv").write_text("")
    assert "cannot be read" in trained("log-labels", "cells", tmp_path / "empty.csv", expect=4).err


def test_sql_is_answered_by_duckdb(trained, asked):
    sql = "select model, count(*) as asked from predictions group by model"
    lines = trained("predictions", "--sql", sql, "--json").lines
    assert lines == [{"row": {"model": "cells", "asked": 1}}, {"status": "queried", "rows": 1}]
    assert "1 rows" in trained("predictions", "cells", "--sql", sql).out
    assert "Columns: request_id" in trained("predictions", "--sql", "select wrong from predictions", expect=2).err


def test_an_entity_is_erased_after_a_look(trained, asked, tmp_path):
    log = tmp_path / "log"
    schema = {"model": "m", "version": 1, "variant": "", "digest": "d", "target": "t", "columns": []}
    writer = PredictionLog(log, "m")
    writer.append(schema, "r", 0, 1, [[], []], [{"t": 1}, {"t": 2}], entities=["ann", "ben"])
    writer.close()
    ann = ("predictions", "erase", "m", "--entity", "ann", "--log", log)
    assert "1 rows would be erased; to erase them, add --yes" in trained(*ann).out
    assert trained.json("predictions", "--log", log)["total"] == 2
    done = trained.json(*ann, "--yes")
    assert (done["status"], done["erased"], len(done["files"])) == ("erased", 1, 1)
    assert trained.json("predictions", "--log", log)["total"] == 1
    assert "nothing about this entity" in trained(*ann).out
    assert done["id"] in trained("predictions", "erase", "--proofs", "--log", log).out
    assert trained.json("predictions", "erase", "--proofs", "--entity", "ben", "--log", log)["proofs"] == 0
    assert trained.json("predictions", "erase", "--proofs", "--entity", "ann", "--log", log)["proofs"] == 1
    assert (
        "MODEL and --entity or --where are needed" in trained("predictions", "erase", "m", "--log", log, expect=2).err
    )
    by_client = ("predictions", "erase", "m", "--log", log, "--where")
    assert "nothing about this client" in trained(*by_client, "client=ann").out
    assert "--where takes COLUMN=VALUE" in trained(*by_client, "client", expect=2).err
    assert "Did you mean 'client'?" in trained(*by_client, "cleint=a", expect=2).err
    assert "nothing of this model" in trained("predictions", "erase", "x", "--entity", "a", "--log", log, expect=3).err


def test_sealed_files_are_archived_on_demand_and_read_from_there(trained, asked):
    assert "names no archive" in trained("predictions", "archive", expect=2).err
    total = trained.json("predictions")["total"]
    file = trained.folder / "tidemill.toml"
    before = file.read_text()
    try:
        file.write_text(f'{before}\n[serving]\narchive = "elsewhere"\n')
        done = trained.json("predictions", "archive")
        assert done["archive"] == str(trained.folder / "elsewhere")
        assert done["files"]
        assert trained("predictions", "archive").out == "there is nothing to move\n"
        assert trained.json("predictions")["total"] == total
        assert trained.json("predictions", "--local")["total"] == 0
        assert trained.json("trace", asked)["prediction"]["request_id"] == asked
    finally:
        file.write_text(before)


def test_every_label_that_was_told_is_listed_with_the_one_that_holds(trained, asked, tmp_path):
    file = tmp_path / "truth.csv"
    for label, seen in (("0", "2026-01-02"), ("1", "2026-01-03")):
        file.write_text(f"request_id,label,at\n{asked},{label},{seen}T00:00:00Z\nelsewhere,1,\n")
        trained("log-labels", "cells", file)
    *labels, summary = trained("predictions", "labels", "cells", "--request", asked, "--corrected", "--json").lines
    assert summary["labels"] == len(labels) >= 2
    assert [line["label"]["holds"] for line in labels].count(True) == 1
    assert labels[-1]["label"]["label"] == "true"
    assert labels[-1]["label"]["at"].startswith("2026-01-03")
    out = trained("predictions", "labels", "cells").out
    assert "of no prediction here" in out
    assert trained("predictions", "labels", "cells", "--entity", "nobody").out == "no labels like that\n"
    assert "nothing of this model was logged" in trained("predictions", "labels", "cels", expect=3).err


def test_the_rows_of_a_request_are_listed_in_its_order(tidemill):
    schema = {"model": "m", "version": 1, "variant": "", "digest": "a", "target": "late", "columns": []}
    log = PredictionLog(tidemill.folder / "log", "m")
    for request in ("b", "a"):
        log.append(schema, request, 10**15, 1, [[]] * 60, [{"late": True}] * 60)
    log.close()
    for flags in ([], ["--labels"]):
        lines = tidemill("predictions", "m", "--log", "log", "--limit", "120", "--json", *flags).lines[:-1]
        told = [(line["prediction"]["request_id"], line["prediction"]["row"]) for line in lines]
        assert told == [(request, row) for request in "ab" for row in range(60)]
