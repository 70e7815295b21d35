"""If these fail, a model of several estimators is read from files that it was not written to, or answers otherwise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression

from tidemill.core.errors import UnsafeModelError
from tidemill.packaging.formats import members
from tidemill.training.frameworks.members import Members


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(0)
    return draw.normal(size=(80, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def mixed(rows):
    labels = rows[:, 0] > 0
    boosted = LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1).fit(rows, labels)
    return Members((LogisticRegression().fit(rows, labels), 1.0, boosted))


def test_members_of_several_libraries_are_written_and_read(mixed, rows):
    files = members.save(mixed)
    assert sorted(files) == ["0.model.skops", "2.model.lightgbm.txt", "members.json"]
    again = members.load(files)
    np.testing.assert_allclose(
        members.predict(again, rows, "multilabel"), members.predict(mixed, rows, "multilabel"), atol=1e-12
    )
    assert members.predict(again, rows, "multilabel").shape == (80, 3)
    assert members.save(mixed) == files


def test_values_of_quantiles_rise_in_every_row(rows):
    class Constant:
        __module__ = "sklearn.made_up"

        def __init__(self, value):
            self.value = value

        def predict(self, matrix):
            return np.full(len(matrix), self.value)

    crossed = Members((Constant(2.0), Constant(1.0)), ordered=True)
    np.testing.assert_array_equal(members.predict(crossed, rows[:2], "quantile"), [[1, 2], [1, 2]])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: files.pop("members.json"), "members.json is missing"),
        (lambda files: files.update({"members.json": b"[]"}), "no list of members"),
        (
            lambda files: files.update({"3.model.skops": b"x"}),
            r"belongs to no member of the model: \['3.model.skops'\]",
        ),
        (lambda files: files.pop("0.model.skops"), "expected the native file 'model.skops'"),
        (lambda files: files.update(listing({"framework": "os"})), "names a member of no known library"),
        (lambda files: files.update(listing({"framework": "members"})), "names a member of no known library"),
        (lambda files: files.update(listing({"constant": "1"})), "names a member of no known library"),
    ],
)
def test_files_that_are_not_what_was_written_are_refused(mixed, change, words):
    files = dict(members.save(mixed))
    change(files)
    with pytest.raises(UnsafeModelError, match=words):
        members.load(files)


def listing(first):
    found = {"ordered": False, "members": [first, {"constant": 1.0}, {"framework": "lightgbm"}]}
    return {"members.json": json.dumps(found).encode()}
