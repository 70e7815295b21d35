"""PyTorch's random numbers, seeded for a block on the processor and on every device, and restored after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed until the block ends."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
