"""A model of a class of the user's own is served by those who say that they trust it, and by nobody else."""

from __future__ import annotations

import json
import urllib.request

import pytest

PIPELINE = """
import polars as pl
import tidemill as tm
from nearest import Nearest


@tm.pipeline
def train() -> tm.ModelVersion:
    rows = pl.DataFrame({"x": range(200), "late": [value > 120 for value in range(200)]})
    data = tm.split(rows, tm.by_share(), "late")
    model = tm.train(build, {}, data, name="late", baselines=False)
    return tm.register(tm.package(model, data.validation))


def build(params):
    return Nearest()
"""
NEAREST = """
class Nearest:
    def __init__(self, cut=None):
        self.cut = cut

    def fit(self, rows, truth):
        self.cut = float((rows[truth == 0].mean() + rows[truth == 1].mean()) / 2)
        return self

    def predict(self, rows):
        return rows[:, 0] > self.cut

    def get_state(self):
        return {"cut": self.cut}

    @classmethod
    def from_state(cls, state):
        return cls(state["cut"])
"""
ALLOW = ("--allow", "nearest:Nearest")


@pytest.fixture
def own(tidemill):
    """A project whose model is of a class that it defines itself."""
    (tidemill.folder / "tidemill.toml").write_text('[project]\nname = "late"\n', encoding="utf-8")
    tidemill.write(pipeline=PIPELINE, nearest=NEAREST)
    tidemill("run", "train")
    (tidemill.folder / "rows.csv").write_text("x\n3\n199\n", encoding="utf-8")
    return tidemill


def test_a_file_is_answered_by_a_class_that_was_allowed(own):
    said = own("predict", "late@1", "rows.csv", expect=5).err
    assert "the model is of a class that was not allowed: 'nearest:Nearest'" in said
    assert "or --allow nearest:Nearest" in said
    answers = own("predict", "late@1", "rows.csv", "--json", *ALLOW).lines[:-1]
    assert [answer["prediction"]["late"] for answer in answers] == [False, True]


def test_it_is_served_by_a_class_that_was_allowed(own, tmp_path):
    own("serve", "late@1", "--port", "0", expect=5)
    process = own.start("serve", "late@1", "--port", "0", "--json", "--log", str(tmp_path / "log"), *ALLOW)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        body = json.dumps({"rows": [{"x": 3}, {"x": 199}]}).encode()
        request = urllib.request.Request(
            f"{ready['url']}/v1/models/late/predict", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert [one["late"] for one in json.load(answer)["predictions"]] == [False, True]
    finally:
        process.terminate()
        process.communicate(timeout=30)
