"""Tidemill: 100 trials, each a child run in the store; ``ours.py kept|flushed``, the latter with synchronous=FULL."""

import sys

import tidemill as tm
from benchmarks.tuning.trial import RANGES, SEED, TRIALS, Above, begin, report, table
from tidemill.store import sqlite

if sys.argv[1] == "flushed":
    sqlite._PRAGMAS = tuple(pragma.replace("NORMAL", "FULL") for pragma in sqlite._PRAGMAS)

data = tm.split(table(), tm.by_share(0.5, 0.4), "late")
space = {name: tm.uniform(low, high) for name, (low, high) in RANGES.items()}


def build(params: dict) -> Above:
    return Above(**params)


tm.tune(build, space, data, metric="accuracy", trials=12, seed=SEED, name="first")  # imports, and a store
began = begin()
found = tm.tune(build, space, data, metric="accuracy", trials=TRIALS, seed=SEED, name="cuts")
assert len(found.trials) == TRIALS
assert all(tm.run(trial.run_id).status == "succeeded" for trial in found.trials[::20])
report(began)
