"""What a trained model is, whatever library trained it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.core.errors import UsageError
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
        What the columns of an answer stand for, as text: the labels of probabilities, the levels of quantiles; empty
        where an answer is one value.
    threshold
        The score from which the positive class (each label of several; an anomaly) is decided.
    group
        Ranking only: the column that names the query within which rows are ranked.
    last
        Forecasting only: the input that holds the last value that is known when the forecast is made.
    referred
        Binary only: between these two probabilities a person decides, for less than either error would cost.
    interval
        Models of a value only: the share of values that lie within a distance of the answer, and that distance.
    """

    inputs: TableSchema
    task: Task
    target: str
    classes: tuple[str, ...] = ()
    threshold: float = 0.5
    group: str = ""
    last: str = ""
    referred: tuple[float, float] | None = None
    interval: tuple[float, float] | None = None

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of a quantile model's answers; empty for any other."""
        return tuple(map(float, self.classes)) if self.task == "quantile" else ()

    @property
    def outputs(self) -> int:
        """How many numbers a row's answer has."""
        return max(1, len(self.classes))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        return {
            "inputs": self.inputs.to_dict(),
            "task": self.task,
            "target": self.target,
            "classes": list(self.classes),
            "threshold": self.threshold,
            # Only where there is one: a model without is written as it always was.
            **({"group": self.group} if self.group else {}),
            **({"last": self.last} if self.last else {}),
            **({"referred": list(self.referred)} if self.referred else {}),
            **({"interval": list(self.interval)} if self.interval else {}),
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
            group=raw.get("group", ""),
            last=raw.get("last", ""),
            referred=tuple(raw["referred"]) if "referred" in raw else None,
            interval=tuple(raw["interval"]) if "interval" in raw else None,
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
    calibration
        How the estimator's probabilities become those of the model, fitted on validation rows; empty if they are taken
        as they are (see `tidemill.training.calibration`).
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
    calibration: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        inputs = len(self.signature.inputs.names)
        about = f"{self.signature.task} of {self.signature.target!r}"
        return f"Model({self.name!r}, {about} from {inputs} inputs, {self.framework})"


def require_model(given: object) -> None:
    """Raise `UsageError` for what is not a `Model`, saying where one comes from.

    Examples
    --------
    >>> try:
    ...     require_model("late-orders@champion")
    ... except UsageError as error:
    ...     print(error.hint)
    Give what tm.train returned; of the registry, tm.load("late-orders@champion").trained().
    """
    if not isinstance(given, Model):
        shown = given if isinstance(given, str) else type(given).__name__
        hint = 'Give what tm.train returned; of the registry, tm.load("late-orders@champion").trained().'
        raise UsageError("this is no model", value=shown, hint=hint)
