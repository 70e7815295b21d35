"""Many tests at once: which of them still say something."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tidemill.core.errors import DataError
from tidemill.measures.inputs import Floats, numbers


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Adjusted p-values, in the order given: those below q are discoveries at a false discovery rate of q.

    Benjamini & Hochberg (1995).

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.04, 0.04]
    """
    given = numbers(p_values, "the p-values")
    if ((given < 0) | (given > 1)).any():
        raise DataError("p-values lie between 0 and 1", value=[float(given.min()), float(given.max())])
    order = np.argsort(given)[::-1]
    ranks = np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(given[order] * (len(given) / ranks)))
    return adjusted
