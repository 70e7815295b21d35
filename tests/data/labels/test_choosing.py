"""Annotators' time is the dearest: rows that a model knows, and rows that are all alike, waste it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import DataError, UsageError
from tidemill.data.labels.choosing import diverse, most_informative, priorities

points = st.lists(st.lists(st.integers(-5, 5), min_size=2, max_size=2), min_size=1, max_size=12)


def radius(features, chosen):
    scaled = np.asarray(features, float)
    spread = scaled.std(axis=0)
    scaled = scaled / np.where(spread == 0, 1, spread)
    return max(min(np.linalg.norm(row - scaled[one]) for one in chosen) for row in scaled)


@settings(deadline=None)
@given(points, st.integers(1, 3))
def test_the_chosen_cover_the_others_within_twice_the_best(features, count):
    chosen = diverse(features, count).tolist()
    assert len(set(chosen)) == len(chosen) == min(count, len(features))
    best = min(radius(features, one) for one in combinations(range(len(features)), len(chosen)))
    assert radius(features, chosen) <= 2 * best + 1e-9


def test_what_is_labelled_already_needs_no_neighbour():
    assert diverse([[0.0], [1.0], [10.0]], 1, already=[[10.0]]).tolist() == [0]
    assert diverse([[0.0], [1.0]], 0).tolist() == []
    assert diverse(np.zeros((3, 2)), 5).tolist() == [0, 1, 2]


def test_a_batch_has_no_two_alike_while_there_are_others():
    probabilities = [0.5, 0.5, 0.5, 0.45, 0.99]
    features = [[0.0], [0.0], [0.0], [5.0], [9.0]]
    assert most_informative(probabilities, features, 2, pool=2).tolist() == [0, 3]
    first = sorted(priorities(probabilities, range(5), features=features, batch=2), key=lambda pair: -pair[1])
    assert [number for number, _ in first][:2] == [0, 4]
    assert most_informative(probabilities, features, 0).tolist() == []
    chosen = most_informative([0.1, 0.5, 0.9, 0.49], [[1.0], [5.0], [9.0], [4.9]], 4).tolist()
    found = priorities([0.1, 0.5, 0.9, 0.49], range(4), features=[[1.0], [5.0], [9.0], [4.9]])
    assert sorted(range(4), key=lambda row: -found[row][1]) == chosen
    assert chosen[-1] == 3, "the neighbour of the first comes last, however unsure the model is"


def test_features_that_cannot_be_compared_are_refused():
    with pytest.raises(DataError, match="finite numbers"):
        diverse([[float("nan")]], 1)
    with pytest.raises(DataError, match="other features"):
        diverse([[1.0]], 1, already=[[1.0, 2.0]])
    with pytest.raises(DataError, match="different numbers of rows"):
        most_informative([0.5, 0.5], [[1.0]], 1)
    with pytest.raises(UsageError, match="pool"):
        most_informative([0.5], [[1.0]], 1, pool=0)
