"""Findings against what a column's name says it holds: ages below zero, latitudes above 90."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from tidemill.data.findings.finding import Finding, number_of
from tidemill.data.profile import MeasuredColumn
from tidemill.data.types import plain

_NEVER_NEGATIVE = (0.0, math.inf)
#: What a word in a column's name says about its values. Amounts and quantities are not here: refunds are negative.
_DOMAINS: dict[str, tuple[float, float]] = {
    "age": (0, 130), "latitude": (-90, 90), "lat": (-90, 90), "longitude": (-180, 360), "lon": (-180, 360),
    "lng": (-180, 360), "humidity": (0, 105), "percent": (0, 100), "pct": (0, 100), "percentage": (0, 100),
    "probability": (0, 1), "month": (0, 12), "weekday": (0, 7), "hour": (0, 24), "minute": (0, 60), "year": (0, 2200),
    "price": _NEVER_NEGATIVE, "fare": _NEVER_NEGATIVE, "salary": _NEVER_NEGATIVE, "wage": _NEVER_NEGATIVE,
    "weight": _NEVER_NEGATIVE, "height": _NEVER_NEGATIVE, "length": _NEVER_NEGATIVE, "width": _NEVER_NEGATIVE,
    "distance": _NEVER_NEGATIVE, "duration": _NEVER_NEGATIVE, "speed": _NEVER_NEGATIVE, "area": _NEVER_NEGATIVE,
    "population": _NEVER_NEGATIVE, "mass": _NEVER_NEGATIVE, "volume": _NEVER_NEGATIVE, "mileage": _NEVER_NEGATIVE,
}  # fmt: skip
#: More values outside than this, or fewer inside than that, and the name means something else.
_RARE, _FEWEST = 0.05, 30
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def find_outside_domain(column: MeasuredColumn, values: Any, counts: Any) -> Iterator[Finding]:
    """A few values outside the range that a word in the column's name stands for.

    The rule is silent where many are outside: the name then means something else (a "percent" that is a change).
    """
    name = column.profile.name
    words = {word.lower() for word in _WORDS.findall(name)}
    known = [word for word in _DOMAINS if word in words]
    if len(known) != 1:
        return
    low, high = _DOMAINS[known[0]]
    outside = (values < low) | (values > high)
    count, total = int(counts[outside].sum()), int(counts.sum())
    if not 0 < count <= max(1.0, _RARE * total) or total - count < _FEWEST:
        return
    far = values[outside][np.argsort(-counts[outside], kind="stable")][:5]
    examples = tuple(plain(value) for value in far.tolist())
    what = "is never negative" if high == math.inf else f"is from {low:g} to {high:g}"
    bounds = {"minimum": low} | ({} if high == math.inf else {"maximum": high})
    shown = ", ".join(f"{key}={value:g}" for key, value in bounds.items())
    yield Finding(
        "impossible_value", name, "error", count, count / column.profile.rows, examples,
        f"{name} = {examples[0]:,.6g} cannot be: by its name, {name} {what}; all but {number_of(count, 'row')} agree.",
        f"Make it missing: NullOutside({name!r}, {shown}).",
        {"kind": "null_outside", "column": name, **bounds},
    )  # fmt: skip
