"""How a network is trained: the parameters of the loop, read from those that `build` gets as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from tidemill.core.errors import UsageError
from tidemill.core.tasks import TASKS, Task


@dataclass(frozen=True, slots=True)
class Plan:
    """How a network is trained; each is read from the parameter of the same name.

    Parameters
    ----------
    epochs, batch_size
        How often all rows are seen at most, and how many at a time.
    learning_rate, optimizer, weight_decay, momentum
        ``"adam"``, ``"adamw"`` or ``"sgd"``; momentum is for the last only.
    schedule
        ``"constant"``, or ``"cosine"``: the learning rate goes down to nothing over the epochs.
    gradient_clip
        The largest norm of the gradients of all weights together; None for no limit.
    loss
        Of a regression: ``"squared"``, ``"absolute"`` or ``"huber"``. Other tasks have one loss.
    device
        ``"auto"`` for the first graphics card if there is one, else any name that PyTorch knows.
    checkpoint_seconds
        How often the state of a training that is part of a run is stored; 0 for after each epoch.
    """

    epochs: int = 100
    batch_size: int = 256
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: str = "constant"
    gradient_clip: float | None = None
    loss: str = "squared"
    device: str = "auto"
    checkpoint_seconds: float = 60.0


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("adam", "adamw", "sgd"),
    "schedule": ("constant", "cosine"),
    "loss": ("squared", "absolute", "huber"),
}
_POSITIVE = ("epochs", "batch_size", "learning_rate")
_NOT_NEGATIVE = ("weight_decay", "momentum", "checkpoint_seconds")


#: Names that other loops have for these.
_ELSEWHERE: Mapping[str, str] = {
    "batch": "batch_size",
    "clip": "gradient_clip",
    "lr": "learning_rate",
    "max_epochs": "epochs",
    "num_epochs": "epochs",
    "scheduler": "schedule",
}
#: What every loop reads.
ALL = frozenset(field.name for field in fields(Plan))


def plan_of(params: Mapping[str, Any], unread: frozenset[str] = frozenset(), known: frozenset[str] = ALL) -> Plan:
    """The plan in the parameters; a parameter that neither the loop nor `build` reads is refused.

    Parameters
    ----------
    params
        What `build` was given.
    unread
        The names of those that it did not look at.
    known
        The names that the loop reads.

    Raises
    ------
    UsageError
        For a value that cannot be, and for a name that nothing reads.

    Examples
    --------
    >>> plan_of({"hidden": 32, "epochs": 5}).epochs
    5
    """
    if strange := sorted(unread - known):
        near = (
            [_ELSEWHERE[strange[0]]] if strange[0] in _ELSEWHERE else get_close_matches(strange[0], sorted(known), n=1)
        )
        raise UsageError(
            "parameters that neither build nor the training loop reads",
            value=strange,
            hint=(f"Did you mean {near[0]!r}? " if near else "") + f"The loop reads {', '.join(sorted(known))}.",
        )
    given = {name: value for name, value in params.items() if name in known}
    for name, value in given.items():
        _check(name, value)
    return Plan(**given)


def joint(estimator: Any, task: Task) -> bool:
    """A network answers all labels or levels at once."""
    del estimator
    return TASKS[task].scores != "one"


def _check(name: str, value: Any) -> None:
    if name in _CHOICES and value not in _CHOICES[name]:
        raise UsageError(f"the {name} of a training", value=value, hint=f"Choose one of {', '.join(_CHOICES[name])}.")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if name in _POSITIVE and not (number and value > 0):
        raise UsageError(f"the {name} of a training must be above zero", value=value)
    if name in ("epochs", "batch_size") and not isinstance(value, int):
        raise UsageError(f"the {name} of a training must be a whole number", value=value)
    if name in _NOT_NEGATIVE and not (number and value >= 0):
        raise UsageError(f"the {name} of a training must be a number of zero or more", value=value)
    if name == "gradient_clip" and value is not None and not (number and value > 0):
        raise UsageError("the gradient_clip of a training must be a number above zero, or None", value=value)
