"""A million probabilities and what happened: the same for every tool."""

import numpy as np
from numpy.typing import NDArray

ROWS = 1_000_000
RESAMPLES = 200


def predictions(rows: int = ROWS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels of 0 and 1, and the probabilities of a calibrated model of middling worth."""
    generator = np.random.default_rng(0)
    chances = 1 / (1 + np.exp(-generator.normal(-1.0, 1.0, rows)))
    return (generator.random(rows) < chances).astype(np.float64), chances
