"""The random numbers of Keras and of its backend, seeded for a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed until the block ends; whoever seeds Python, NumPy and the backend restores them."""
    keras.utils.set_random_seed(seed)
    yield
