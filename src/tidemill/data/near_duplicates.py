"""Texts that are nearly the same: every pair above a similarity, without comparing every pair."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

from tidemill.core.errors import UsageError

_RUN = 3


def first_of_similar(texts: Sequence[str], similarity: float, within: Sequence[Hashable] | None = None) -> list[int]:
    """For each text the place of the first one that it nearly repeats and that repeats none itself; else its own.

    Two texts are compared by the sets of their runs of three characters (Jaccard index), after case, punctuation and
    spaces are folded. Exact: two sets can only be as similar as `similarity` if they share one of their rarest runs, so
    that only texts which do are compared (prefix filtering: Chaudhuri, Ganti and Kaushik, 2006).

    Examples
    --------
    >>> first_of_similar(["Boeing 737-800", "BOEING 737 800", "Airbus A320", "Boeing 737-900"], 0.8)
    [0, 0, 2, 3]
    """
    if not 0 < similarity <= 1:
        raise UsageError("a similarity lies between 0 and 1", value=similarity, hint="Write 0.8.")
    runs = [_runs(text) for text in texts]
    often = Counter(run for found in runs for run in found)
    rarest = [sorted(found, key=lambda run: (often[run], run)) for found in runs]
    holders: defaultdict[tuple[Hashable, str], list[int]] = defaultdict(list)
    out = []
    for place, (found, ordered) in enumerate(zip(runs, rarest, strict=True)):
        group = within[place] if within is not None else None
        prefix = ordered[: len(ordered) - math.ceil(similarity * len(ordered)) + 1]
        candidates = sorted({other for run in prefix for other in holders[group, run]})
        first = next((other for other in candidates if _similar(found, runs[other], similarity)), place)
        if first == place:
            for run in prefix:
                holders[group, run].append(place)
        out.append(first)
    return out


def _runs(text: str) -> frozenset[str]:
    signs = (sign for sign in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(sign))
    padded = f"  {' '.join(''.join(sign if sign.isalnum() else ' ' for sign in signs).split())} "
    return frozenset(padded[start : start + _RUN] for start in range(len(padded) - _RUN + 1))


def _similar(one: frozenset[str], other: frozenset[str], similarity: float) -> bool:
    shared = len(one & other)
    return shared >= similarity * (len(one) + len(other) - shared)
