"""If these fail, a re-run that gave another model passes for the same, or nobody learns why it is another."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import RandomForestClassifier

import tidemill as tm
from tidemill.packaging.sameness import same_model


def table(seed=0):
    draw = np.random.default_rng(seed)
    x, kind = draw.normal(size=200), draw.choice(["a", "b"], 200)
    return pl.DataFrame({"x": x, "kind": kind, "late": x + draw.normal(size=200) > 0})


@pytest.fixture(scope="module")
def data():
    return tm.split(table(), tm.by_share(), "late")


def boosted(params):
    return lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1, **params)


def trained(data, build=boosted, params=None, **options):
    return tm.train(build, params or {}, data, baselines=False, **options)


def test_a_second_run_gives_the_same_model_and_digest(data):
    one, other = trained(data), trained(data, name="another name")
    found = tm.same_model(one, other)
    assert found
    assert str(found) == "the models are the same"
    assert tm.package(one).digest == tm.package(trained(data)).digest
    assert tm.same_model(tm.package(one), other)


@pytest.mark.parametrize(
    ("options", "where", "why"),
    [
        ({"seed": 1}, "metadata.seed differs: 0 and 1", "another seed"),
        ({"threads": 2}, "metadata.threads differs: 1 and 2", "another order"),
        ({"params": {"num_leaves": 7}}, "params.num_leaves differs: '(nothing)' and 7", "hyperparameters"),
        ({"class_weight": "balanced"}, "metadata.class_weight", "classes counted otherwise"),
        ({"threshold": 0.3}, "signature.threshold differs: 0.5 and 0.3", "decide otherwise"),
    ],
)
def test_what_was_done_otherwise_is_the_first_difference(data, options, where, why):
    found = tm.same_model(trained(data), trained(data, **options))
    assert not found
    assert str(found).startswith(where)
    assert why in str(found)


def test_other_rows_and_other_versions_are_named(data):
    one = trained(data)
    other_rows = trained(tm.split(table(1), tm.by_share(), "late"))
    assert tm.same_model(one, other_rows).where.startswith("signature.inputs.columns[0].m")
    upgraded = replace(one, metadata={**one.metadata, "versions": {**one.metadata["versions"], "lightgbm": "9.9"}})
    assert tm.same_model(one, upgraded).where == "metadata.versions.lightgbm"
    beside = replace(one, metadata={**one.metadata, "versions": {**one.metadata["versions"], "unrelated": "1.0"}})
    assert tm.same_model(one, beside)  # which one process had loaded for something else


def test_a_library_that_does_not_repeat_itself_is_found_out(data):
    draws = iter([1, 2])

    def build(params):
        return RandomForestClassifier(3, random_state=next(draws))

    numbers = tm.split(table().drop("kind"), tm.by_share(), "late")
    found = same_model(trained(numbers, build), trained(numbers, build))
    assert found.where == "files.model.skops"
    assert "the library does not repeat itself" in found.why
