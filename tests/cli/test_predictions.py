"""What was asked and answered can be read back, and traced to the bytes that it was learned from."""

from __future__ import annotations

import csv
import json
import urllib.request

import pytest


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


def test_a_condition_that_cannot_be_read_is_explained(trained, asked):
    done = trained("predictions", "--where", "probabilty > 1", expect=2)
    assert "Columns: request_id" in done.err
    assert len(done.err.splitlines()) <= 3


def test_a_prediction_is_traced_to_its_source(trained, asked):
    out = trained("trace", asked).out
    assert out.startswith(f"prediction {asked}")
    assert "cells:1" in out
    assert "execution read" in out
    assert trained.json("trace", asked)["prediction"]["request_id"] == asked
