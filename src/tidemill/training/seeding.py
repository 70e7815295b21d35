"""Random numbers of everybody: seeded while an estimator is built or fitted, and afterwards as they were."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import numpy as np

#: Library with random numbers of its own -> module with a context manager `seeded`, as here. Keras comes after the
#: backend that it seeds as well, whose numbers are kept by then.
SOURCES: Mapping[str, str] = {
    "torch": "tidemill.integrations.torch_seeds",
    "keras": "tidemill.integrations.keras_seeds",
}


@contextmanager
def seeded(seed: int) -> Iterator[frozenset[str]]:
    """Seed the random numbers of Python, NumPy and the loaded libraries until the block ends; gives `loaded_sources`.

    >>> with seeded(7):
    ...     first = random.random(), np.random.rand()
    >>> with seeded(7):
    ...     print((random.random(), np.random.rand()) == first)
    True
    """
    plain, legacy = random.getstate(), np.random.get_state()
    found = loaded_sources()
    with ExitStack() as stack:
        for name in (name for name in SOURCES if name in found):
            stack.enter_context(importlib.import_module(SOURCES[name]).seeded(seed))
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield found
        finally:
            random.setstate(plain)
            np.random.set_state(legacy)


def loaded_sources() -> frozenset[str]:
    """Which of the libraries with random numbers of their own are loaded."""
    return frozenset(name for name in SOURCES if name in sys.modules)
