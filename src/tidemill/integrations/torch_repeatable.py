"""The same numbers of PyTorch each time, for a block."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def repeatable(threads: int) -> Iterator[None]:
    """Algorithms with one order of sums, and as many threads as were allowed, until the block ends."""
    before, count = torch.get_deterministic_debug_mode(), torch.get_num_threads()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it CUDA refuses to be repeatable
    # As `use_deterministic_algorithms`, which besides would load PyTorch's compiler, and that takes seconds.
    torch.set_deterministic_debug_mode("error")
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
        torch.set_num_threads(count)
