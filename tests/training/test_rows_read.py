"""If these fail, a model forgets which rows it has read, or is said to have read what it has not."""

from __future__ import annotations

from base64 import b64decode

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tidemill.training.rows_read import _unique, rows_known, rows_read

VALUES = st.lists(st.integers(0, 12), max_size=30)


def table(values):
    return np.asarray(values, dtype=np.float32).reshape(-1, 1), np.zeros(len(values))


@given(VALUES, VALUES)
def test_the_digests_are_those_of_both_parts_each_once(train, validation):
    read = rows_read(table(train), table(validation))
    first, second = _unique(*table(train)), _unique(*table(validation))
    assert read["alike"] == np.isin(second, first).sum()
    assert read["compared"] == len(second)
    kept = np.frombuffer(b64decode(read["digests"]), dtype="<u4")
    assert kept.tolist() == (np.union1d(first, second) >> np.uint64(32)).tolist()


@given(VALUES, st.integers(1, 5))
def test_of_many_rows_the_smallest_digests_are_kept_and_known_again(values, kept):
    read = rows_read(table(values), table([]), kept=kept)
    once = [value for value in set(values) if values.count(value) == 1]
    known, sampled = rows_known(read, *table(once))
    assert known == sampled == min(kept, len(once))
