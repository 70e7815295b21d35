"""A model file of a stranger must be refused: XGBoost follows its numbers out of the process's memory, or for ever."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import xgboost
from bitten import check_survives

from tidemill.core.errors import UnsafeModelError
from tidemill.integrations.ubjson import parsed
from tidemill.integrations.xgboost import FILE, load, predict, save

DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(400, 4)).astype(np.float32)
LABELS = (ROWS[:, 0] * ROWS[:, 1] > 0).astype(int)
CODES = np.c_[ROWS[:, :3], DRAW.integers(0, 9, 400)].astype(np.float32)
LETTERS = {"l": "i", "L": "q", "U": "B", "d": "f"}


def booster(**params):
    return save(xgboost.XGBClassifier(n_estimators=4, max_depth=4, **params).fit(ROWS, LABELS))[FILE]


@pytest.fixture(scope="module")
def data():
    return booster()


@pytest.fixture(scope="module")
def coded():
    model = xgboost.XGBRegressor(
        n_estimators=4, enable_categorical=True, max_cat_to_onehot=1, feature_types=["q", "q", "q", "c"]
    )
    return save(model.fit(CODES, LABELS * CODES[:, 3]))[FILE]


def changed(data, name, place, value):
    """The first array of this name that has the place, with another number there."""
    mark = b"L" + struct.pack(">q", len(name)) + name.encode() + b"[$"
    start = data.index(mark) + len(mark)
    while True:
        kind, count = chr(data[start]), struct.unpack(">q", data[start + 3 : start + 11])[0]
        number = struct.Struct(">" + LETTERS[kind])
        if count > place:
            break
        start = data.index(mark, start) + len(mark)
    at = start + 11 + place * number.size
    return data[:at] + number.pack(value) + data[at + number.size :]


@pytest.mark.parametrize(
    ("name", "place", "value", "words"),
    [
        ("left_children", 0, 10**6, "leads to one that is not there"),
        ("left_children", 0, 0, "come to twice|another parent"),
        ("right_children", 1, 1, "come to twice|another parent"),
        ("right_children", 0, -7, "leads to one that is not there"),
        ("split_indices", 0, 10**8, "a feature that is not there"),
        ("split_indices", 0, -1, "a feature that is not there"),
        ("parents", 1, 2, "another parent"),
        ("split_type", 0, 1, "the sets of categories"),
        ("split_type", 0, 9, "splits in an unknown way"),
    ],
)
def test_a_tree_that_leads_astray_is_refused(data, name, place, value, words):
    with pytest.raises(UnsafeModelError, match=words):
        load({FILE: changed(data, name, place, value)})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("categories", 2**30, "a category is none"),
        ("categories_sizes", 2**40, "a set of categories is not there"),
        ("categories_segments", -1, "a set of categories is not there"),
        ("categories_nodes", 77, "the sets of categories"),
    ],
)
def test_a_set_of_categories_that_is_not_there_is_refused(coded, name, value, words):
    assert np.isfinite(predict(load({FILE: coded}), CODES, "regression")).all()
    with pytest.raises(UnsafeModelError, match=words):
        load({FILE: changed(coded, name, 0, value)})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"\x0bnum_featureSL\0\0\0\0\0\0\0\x014", b"\x0bnum_featureSL\0\0\0\0\0\0\0\x019", "another than the model's"),
        (b"\x09num_treesSL\0\0\0\0\0\0\0\x014", b"\x09num_treesSL\0\0\0\0\0\0\0\x017", "another number of trees"),
        (b"\x04nameSL\0\0\0\0\0\0\0\x06gbtree", b"\x04nameSL\0\0\0\0\0\0\0\x06gbtrex", "unknown booster"),
    ],
)
def test_numbers_that_do_not_agree_are_refused(data, old, new, words):
    forged = data.replace(old, new, 1)
    assert forged != data
    with pytest.raises(UnsafeModelError, match=words):
        load({FILE: forged})


@pytest.mark.parametrize(
    "data",
    [
        b"{" * 10_000,
        b"[#L" + struct.pack(">q", 2**60),
        b"[$d#L" + struct.pack(">q", 2**61),
        b"[$d#L" + struct.pack(">q", -1),
        b"SL" + struct.pack(">q", 2) + b"\xff\xff",
        b"{L" + struct.pack(">q", 1) + b"aTL" + struct.pack(">q", 1) + b"aF}",
        b"T.",
        b"x",
        b"",
    ],
)
def test_bytes_that_tell_of_more_than_there_is_are_refused(data):
    with pytest.raises(UnsafeModelError):
        parsed(data)


@pytest.mark.parametrize("params", [{}, {"booster": "dart", "rate_drop": 0.3}, {"booster": "gblinear"}])
def test_what_xgboost_writes_is_read(params):
    data = booster(**params)
    assert np.isfinite(predict(load({FILE: data}), ROWS, "binary")).all()


def test_what_became_of_a_file_never_ends_the_process(data, tmp_path):
    check_survives("xgboost", data, tmp_path, times=400)
