"""Models of somebody's own classes."""

from __future__ import annotations

from typing import Any

import numpy as np


class Nearest:
    """The class of the nearest centre; it takes part in packages."""

    def __init__(self, centres: Any = None) -> None:
        self.centres = centres

    def fit(self, rows: Any, truth: Any) -> Nearest:
        filled = np.nan_to_num(rows)
        self.centres = np.stack([filled[truth == code].mean(axis=0) for code in np.unique(truth)])
        return self

    def predict_proba(self, rows: Any) -> Any:
        far = np.square(np.nan_to_num(rows)[:, None, :] - self.centres[None]).sum(axis=2)
        weights = np.exp(-far / far.mean())
        return weights / weights.sum(axis=1, keepdims=True)

    def get_state(self) -> dict[str, Any]:
        return {"centres": self.centres, "made": {"by": "hand", "with": [1, 2.5, None, float("inf")]}}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Nearest:
        assert state["made"] == {"by": "hand", "with": [1, 2.5, None, float("inf")]}
        return cls(state["centres"])


class Opaque:
    """It does not take part."""

    def fit(self, rows: Any, truth: Any) -> Opaque:
        return self

    def predict(self, rows: Any) -> Any:
        return np.zeros(len(rows))
