"""The state of every source of random numbers that a training with PyTorch may draw from, taken and given back."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def chance() -> dict[str, Any]:
    """The states of Python, NumPy, and PyTorch on the processor and on every graphics card."""
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    kind, words, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": [kind, np.asarray(words).astype(np.int64), *rest],
        "torch": torch.get_rng_state(),
        "devices": devices,
    }


def restore_chance(state: dict[str, Any]) -> None:
    """Draw from here on what would have been drawn when `chance` was asked."""
    kind, words, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((kind, words.astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["devices"]:
        torch.cuda.set_rng_state_all(state["devices"])
