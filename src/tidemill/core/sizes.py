"""Sizes as people write them: ``"2GB"``, ``"1.5 GiB"``."""

from __future__ import annotations

import re

from tidemill.core.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d*)?(?:e\d+)?)\s*([kmgt]i?)?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_MOST = 2**63


def bytes_of(size: float | str) -> int:
    """The number of bytes that a size means; a number is bytes already.

    Raises
    ------
    UsageError
        If it is not a size above zero.

    Examples
    --------
    >>> bytes_of("2GiB"), bytes_of("1.5 gb"), bytes_of("500M"), bytes_of("1e6"), bytes_of(4096)
    (2147483648, 1500000000, 500000000, 1000000, 4096)
    """
    found = 0.0
    if isinstance(size, str):
        match = _SIZE.fullmatch(size.strip())
        found = float(match[1]) * _UNITS[(match[2] or "").lower()] if match else 0.0
    elif isinstance(size, int | float) and not isinstance(size, bool):
        found = size
    if not 1 <= found < _MOST:
        raise UsageError("not a size", value=size, hint='Write bytes, or text such as "2GiB" or "500 MB".')
    return int(found)
