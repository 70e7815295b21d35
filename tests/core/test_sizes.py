"""A size that is read wrongly costs a run its memory, or a machine its disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import UsageError
from tidemill.core.sizes import bytes_of

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@given(st.integers(1, 10**6), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]), st.booleans())
def test_a_size_means_the_same_however_it_is_written(number, unit, gap, is_lower):
    text = f"{number}{gap}{unit}"
    assert bytes_of(text.lower() if is_lower else text) == number * UNITS[unit]


@pytest.mark.parametrize(
    "size", ["much", "", "-1", "0", "2 XB", "GiB", "1e99", "nan", "inf", 0, -5, True, None, b"2GB"]
)
def test_what_is_no_size_is_said_to_be_none(size):
    with pytest.raises(UsageError, match=r'not a size.*"2GiB"'):
        bytes_of(size)
