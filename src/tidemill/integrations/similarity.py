"""How alike texts are, by RapidFuzz."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tidemill.core.errors import MissingExtraError

try:
    from rapidfuzz import process
    from rapidfuzz.distance import Indel, JaroWinkler
except ImportError as error:
    raise MissingExtraError("rapidfuzz", "fuzzy", purpose="a fuzzy join") from error

_SCORERS = {"letters": Indel, "words": Indel, "names": JaroWinkler}


def scores(left: Sequence[str], right: Sequence[str], measure: str, floor: float) -> np.ndarray[Any, Any]:
    """The similarity of each text on the left with each on the right, from 0 to 1; 0 for those below the floor.

    ``"letters"`` and ``"words"`` are the normalised insertion-deletion similarity; ``"names"`` is Jaro-Winkler.
    """
    found: np.ndarray[Any, Any] = process.cdist(
        left, right, scorer=_SCORERS[measure].normalized_similarity, score_cutoff=floor, dtype=np.float64, workers=1
    )
    return found
