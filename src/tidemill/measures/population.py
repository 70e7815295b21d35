"""The profile of a column: bins fixed on a reference population, in which later windows are counted.

A profile is JSON-able, of one of two kinds::

    {
        "kind": "number",
        "rows": 8,
        "missing": 1,
        "edges": [2.0, 5.0],
        "counts": [2, 3, 2],
        "minimum": 1.0,
        "maximum": 9.0,
        "mean": 4.1,
        "std": 2.2,
    }
    {"kind": "category", "rows": 8, "missing": 0, "categories": ["UA", "B6"], "counts": [5, 2], "other": 1}

`edges` are the inner edges of the bins: bin i holds ``edges[i-1] <= x < edges[i]``, the first and the last are open, so
that every number has a bin. The counts of a category profile cover the most frequent ones; all the rest are `other`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidemill.core.errors import DataError


def profile_numbers(values: ArrayLike, bins: int = 20, *, edges: Iterable[float] | None = None) -> dict[str, Any]:
    """The profile of numbers; NaN is missing.

    Parameters
    ----------
    values
        Shape (rows,).
    bins
        How many bins of about equally many rows; fewer where values repeat.
    edges
        Inner edges to use instead, ascending, such as tenths for probabilities.

    Examples
    --------
    >>> profile_numbers([1, 2, 3, 4, float("nan")], bins=2)["counts"]
    [2, 2]
    """
    given = np.asarray(values)
    # NaN comes last; from here on everything is looked up. Half as many bytes are sorted in half the time.
    numbers = given if given.dtype == np.float32 else given.astype(np.float64, copy=False)
    ordered = np.sort(numbers)
    ordered = ordered[: _place(ordered, np.nan)]
    finite = ordered[_place(ordered, -np.inf, side="right") : _place(ordered, np.inf)]
    known = (numbers if len(finite) == len(numbers) else numbers[np.isfinite(numbers)]).astype(np.float64, copy=False)
    if edges is not None:
        inner = np.asarray(list(edges), dtype=np.float64)
    elif len(finite):
        places = np.ceil(np.linspace(0, 1, bins + 1)[1:-1] * (len(finite) - 1)).astype(np.int64)
        # Of the type of what is searched, which would be copied otherwise; a negative zero is a zero.
        inner = np.unique(finite[places]) + finite.dtype.type(0)
        inner = inner[inner > finite[0]]
    else:
        inner = np.empty(0)
    bounds = [0, *np.searchsorted(ordered, inner).tolist(), len(ordered)]
    out: dict[str, Any] = {
        "kind": "number",
        "rows": len(numbers),
        "missing": len(numbers) - len(ordered),
        "edges": inner.tolist(),
        "counts": np.diff(bounds).tolist(),
    }
    if len(known):
        out |= {
            "minimum": float(finite[0]) + 0.0,
            "maximum": float(finite[-1]) + 0.0,
            "mean": float(known.mean()),
            "std": float(known.std()),
        }
    return out


def _place(ordered: NDArray[Any], value: float, side: Literal["left", "right"] = "left") -> int:
    return int(np.searchsorted(ordered, ordered.dtype.type(value), side=side))


def profile_categories(values: Iterable[Any], top: int = 50) -> dict[str, Any]:
    """The profile of categories by their text; None is missing.

    >>> profile_categories(["UA", "B6", "UA", None], top=1)
    {'kind': 'category', 'rows': 4, 'missing': 1, 'categories': ['UA'], 'counts': [2], 'other': 1}
    """
    counts = _count_texts(values)
    missing = counts.pop(None, 0)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    return {
        "kind": "category",
        "rows": sum(counts.values()) + missing,
        "missing": missing,
        "categories": [text for text, _ in ranked[:top]],
        "counts": [count for _, count in ranked[:top]],
        "other": sum(count for _, count in ranked[top:]),
    }


def count_like(profile: Mapping[str, Any], values: Any) -> dict[str, Any]:
    """Count a window in the bins of a reference profile.

    Returns
    -------
    dict
        ``rows``, ``missing``, ``counts`` as in the profile, and ``other``: for categories the rows outside the
        profile's, for numbers always 0.

    Examples
    --------
    >>> count_like(profile_categories(["UA", "B6"]), ["UA", "XX", None])
    {'rows': 3, 'missing': 1, 'counts': [0, 1], 'other': 1}
    """
    if profile["kind"] == "number":
        array = np.asarray(values, dtype=np.float64)
        counts = _count_numbers(array, np.asarray(profile["edges"]))
        return {"rows": len(array), "missing": int(np.isnan(array).sum()), "counts": counts.tolist(), "other": 0}
    if profile["kind"] == "category":
        seen = _count_texts(values)
        missing = seen.pop(None, 0)
        counted = [seen.pop(category, 0) for category in profile["categories"]]
        other = sum(seen.values())
        return {"rows": sum(counted) + other + missing, "missing": missing, "counts": counted, "other": other}
    raise DataError("a profile of an unknown kind", value=profile["kind"], hint="Known kinds: number, category.")


def _count_numbers(array: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.int64]:
    known = array[~np.isnan(array)]
    return np.bincount(np.searchsorted(inner, known, side="right"), minlength=len(inner) + 1).astype(np.int64)


def _count_texts(values: Iterable[Any]) -> Counter[str | None]:
    items = values.tolist() if isinstance(values, np.ndarray) else values
    counts: Counter[str | None] = Counter()
    for value, count in Counter(items).items():
        counts[None if value is None or value != value else str(value)] += count
    return counts
