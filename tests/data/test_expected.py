"""An argument of the wrong kind must be named where it is given, not fail as a raw error deep inside a verb."""

from __future__ import annotations

import contextlib
from datetime import date, datetime, timedelta

import polars as pl
import pytest

import tidemill as tm
from tidemill.core.errors import TidemillError, UsageError
from tidemill.data.contract import ColumnRule, TableContract
from tidemill.data.expected import COLUMNS, KEYS, NUMBER, require, require_set
from tidemill.data.operations import CleaningPlan
from tidemill.data.suggest import suggest_cleaning

ROWS = 24
T = pl.DataFrame(
    {
        "k": ["a", "b", "c", "d"] * (ROWS // 4),
        "at": [datetime(2024, 1, 1) + timedelta(days=day) for day in range(ROWS)],
        "x": list(range(ROWS)),
        "y": [0, 1] * (ROWS // 2),
    }
)
R = pl.DataFrame({"k": ["a", "b", "c"], "z": [1, 2, 3]})
READINGS = pl.DataFrame({"t": [datetime(2023, 1, 1)], "w": [1.0]})
SPEC = {"name": "t", "rows": 5, "columns": []}
#: Each verb with arguments that are right.
VERBS = {
    tm.read: {"source": "k.csv", "columns": ["k"], "where": "z > 1", "since": None, "until": None, "options": None},
    tm.explore: {
        "table": T, "target": "y", "references": {"r": R}, "keys": {"k": "r.k"}, "parts": {"p": T},
        "available_at": {"x": "at"}, "prediction_time": "at - 2h", "memory": 10**9,
    },
    tm.validate: {
        "table": T, "contract": TableContract("c", (ColumnRule("x"),)), "references": {"r": R}, "fail": True,
        "now": datetime(2024, 1, 1), "profile": False,
    },
    tm.clean: {"table": T, "plan": CleaningPlan(())},
    suggest_cleaning: {"exploration": tm.explore(T), "target": "y"},
    tm.split: {
        "table": T, "method": tm.by_share(), "target": "y", "features": ["x"], "time": "at", "entity": "k",
        "forbid": (),
    },
    tm.by_time: {
        "validation_from": "2024-01-05", "test_from": "2024-01-10", "time": "at", "embargo": "1d", "disjoint": "k",
    },
    tm.by_share: {"train": 0.7, "validation": 0.1, "seed": 0, "stratify": "y"},
    tm.by_group: {"columns": "k", "train": 0.7, "validation": 0.1, "seed": 0},
    tm.rolling_origin: {
        "first": "2024-01-05", "every": "2d", "folds": 2, "horizon": "2d", "window": "5d", "embargo": "1d",
        "test_from": "2024-01-30", "time": "at",
    },
    tm.key_join: {"left": T, "right": R, "on": "k", "columns": ["z"], "prefix": "p"},
    tm.asof_join: {
        "left": T, "right": READINGS, "left_time": "at", "right_time": "t", "by": (), "tolerance": "9d",
        "allow_exact": True, "columns": ["w"], "prefix": "p", "keep_time": "q",
    },
    tm.lookup: {
        "table": T, "source": "k.csv", "on": "k", "columns": ["z"], "prefix": "", "batch": 5, "concurrency": 2,
        "max_age": "1d", "on_error": "fail",
    },
    tm.infer_contract: {"table": T, "name": "n", "slack": 0.1, "distributions": False},
    tm.leaks: {"table": T, "availability": {"x": "at"}, "prediction_time": "at", "target": "y", "columns": ["x"]},
    tm.generate: {"spec": SPEC, "rows": 5, "seed": 1, "parents": {}},
    tm.resample: {"table": T, "rows": 5, "seed": 1, "jitter": 0.1, "keys": ["k"]},
    tm.weak_labels: {"table": T, "functions": [tm.LabellingFunction("a", "x > 1", "q")], "model": "majority"},
    tm.label_queue: {
        "name": "q", "schema": tm.LabelSchema(("a", "b")), "guidelines": "g", "overlap": 1, "lease": "10m",
    },
    tm.label_errors: {
        "labels": ["a", "b"], "probabilities": [[0.9, 0.1], [0.2, 0.8]], "classes": ["a", "b"], "by": "noise_rate",
    },
    tm.LabelSchema: {"classes": ("a", "b"), "multiple": False, "minimum": None, "maximum": None},
}  # fmt: skip
WRONG = [5, "nonsense", None, {"a": 1}, [1, 2], object(), b"x", -1, float("nan"), T, ["zz"], date(2024, 1, 1)]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: getattr(verb, "name", verb.__name__))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_wrong_argument_fails_as_a_raw_error(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    R.write_csv("k.csv")
    for name in VERBS[verb]:
        for wrong in WRONG:
            with contextlib.suppress(TidemillError):  # anything else is a raw error
                verb(**{**VERBS[verb], name: wrong})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tm.fuzzy_join(R, R, "k", threshold="x"), "threshold of fuzzy_join must be a number: 'x'"),
        (lambda: tm.LabelSchema(5), r'classes are a tuple of names: 5. Write \("yes", "no"\)'),
        (lambda: tm.LabelSchema(minimum="low"), "minimum of LabelSchema must be a number: 'low'"),
        (lambda: tm.validate(T, {"name": "t"}), r"not a contract: .*TableContract.from_dict"),
        (lambda: tm.validate(T, "trips"), r"not a contract: 'trips'.*load_contract\(NAME\)"),
        (
            lambda: tm.by_time("nonsense", "2024-01-01"),
            "validation_from of by_time is not an ISO date or time: 'nonsen",
        ),
        (lambda: tm.by_time("2024-01-01", 5), "test_from of by_time must be ISO text or a time: 5"),
        (lambda: tm.split(T, "random", "y"), r"not a split method: 'random'. Use by_time"),
        (lambda: tm.explore(T, references=[R]), "references of explore must be tables by name"),
        (lambda: tm.key_join(T, R, 5), "keys of a join must be a column, columns, or columns by column: 5"),
        (lambda: tm.key_join(T, R, "k", columns="z"), r"columns are given as a list of names: 'z'"),
        (lambda: suggest_cleaning(T), "not an exploration: 'DataFrame'"),
    ],
)
def test_the_message_names_the_argument_and_how_to_write_it(call, words):
    with pytest.raises(UsageError, match=words):
        call()


def test_boundaries_of_a_split_may_be_dates():
    assert tm.by_time(date(2024, 1, 5), datetime(2024, 1, 9, 6)) == tm.by_time("2024-01-05", "2024-01-09T06:00:00")


def test_names_may_come_in_any_collection():
    require("v", columns=({"a": 1}.keys(), COLUMNS), more=(("a",), COLUMNS), keys=({"a": "b"}, KEYS))
    require_set("v", threshold=(None, NUMBER))
    with pytest.raises(UsageError, match="threshold of v must be a number, not None"):
        require("v", threshold=(None, NUMBER))
