"""What a trained model is, whatever library trained it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.core.schema import TableSchema
from tidemill.core.tasks import Task


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives.

    Parameters
    ----------
    inputs
        The columns of a row, with types, ranges and categories as seen in training.
    task
        What kind of answer it gives.
    target
        The column it was trained to predict.
    classes
        The labels in the order of the probability columns, as text; empty for regression.
    threshold
        Binary only: the probability from which the positive class is decided.
    """

    inputs: TableSchema
    task: Task
    target: str
    classes: tuple[str, ...] = ()
    threshold: float = 0.5

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        return {
            "inputs": self.inputs.to_dict(),
            "task": self.task,
            "target": self.target,
            "classes": list(self.classes),
            "threshold": self.threshold,
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Signature:
        """Read what `to_dict` wrote."""
        return cls(
            inputs=TableSchema.from_dict(raw["inputs"]),
            task=raw["task"],
            target=raw["target"],
            classes=tuple(raw["classes"]),
            threshold=raw["threshold"],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A fitted estimator with everything that its predictions depend on.

    Parameters
    ----------
    name
        What the registry will call it.
    estimator
        The fitted native object; it takes the encoded matrix that `encoding` describes.
    framework
        Who made it: ``"lightgbm"``, ``"sklearn"``, ….
    signature
        Its inputs, task, target and classes.
    encoding
        How a typed row becomes a row of float32: a JSON-able list, one entry per column of the matrix, in order
        (see `tidemill.training.encoding`). Fitted on training rows only.
    cleaning
        The learned repairs, fitted on training rows, replayed before the encoding: JSON-able.
    profile
        The reference profile of training rows and of predictions on validation rows, for monitoring: JSON-able.
    contract
        What the contract of the training table asks of a single row, for the validator of requests; empty if none was
        given (see `tidemill.data.request_contract`).
    params, metrics, metadata
        Hyperparameters; validation metrics; seeds, versions, rows, seconds, anything else worth keeping.
    """

    name: str
    estimator: Any
    framework: str
    signature: Signature
    encoding: tuple[Mapping[str, Any], ...]
    cleaning: tuple[Mapping[str, Any], ...] = ()
    profile: Mapping[str, Any] = field(default_factory=dict)
    contract: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
