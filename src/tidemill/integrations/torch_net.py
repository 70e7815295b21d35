"""A PyTorch module with how it is trained and what its output means: what is fitted, asked and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal

from tidemill.core.errors import MissingExtraError, ModelError, UsageError
from tidemill.core.tasks import TASKS, Task

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch", "torch", purpose="a model of PyTorch") from error

Link = Literal["identity", "sigmoid", "softmax"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the plain loop trains; each is read from the parameters of the same name.

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


def plan_of(params: Mapping[str, Any], unread: frozenset[str] = frozenset()) -> Plan:
    """The plan in the parameters; a parameter that neither the plan nor `build` knows is refused.

    Raises
    ------
    UsageError
        For a value that cannot be, and for a name that nothing reads.
    """
    known = {field.name for field in fields(Plan)}
    if strange := sorted(unread - known):
        near = get_close_matches(strange[0], sorted(known), n=1, cutoff=0.4)
        raise UsageError(
            "parameters that neither build nor the training loop reads",
            value=strange,
            hint=(f"Did you mean {near[0]!r}? " if near else "") + f"The loop reads {', '.join(sorted(known))}.",
        )
    given = {name: value for name, value in params.items() if name in known}
    for name, value in given.items():
        _check(name, value)
    return Plan(**given)


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


class Net(torch.nn.Module):  # type: ignore[misc]  # without PyTorch it is Any
    """A module whose output, through the link of its task, is what the model answers: [rows, outputs].

    Parameters
    ----------
    module
        The user's own; its output is [rows] or [rows, outputs], before any sigmoid or softmax.
    plan
        How it is trained.
    """

    def __init__(self, module: torch.nn.Module, plan: Plan) -> None:
        super().__init__()
        self.module = module
        self.plan = plan
        self.link: Link = "identity"
        self.epochs: int | None = None
        self.width = 0
        self.centre: torch.Tensor
        self.spread: torch.Tensor
        self.register_buffer("centre", torch.zeros(1))
        self.register_buffer("spread", torch.ones(1))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Probabilities or values."""
        output = raw_output(self.module, rows)
        if self.link == "sigmoid":
            return torch.sigmoid(output)
        if self.link == "softmax":
            return torch.softmax(output, dim=1)
        return output * self.spread + self.centre

    def scaled(self, truth: torch.Tensor) -> torch.Tensor:
        """Values in the units in which they are learnt."""
        return (truth - self.centre) / self.spread


def raw_output(module: torch.nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """What a module gives, as [rows, outputs]."""
    output: torch.Tensor = module(rows)
    if not isinstance(output, torch.Tensor):
        raise ModelError(
            f"{type(module).__name__} gives a {type(output).__name__} instead of a tensor",
            hint="Let its forward() return [rows, outputs].",
        )
    return output.unsqueeze(1) if output.ndim == 1 else output


def link_of(task: Task) -> Link:
    """How the output of a module becomes the answer of a task."""
    kind = TASKS[task]
    if not kind.classifies:
        return "identity"
    return "softmax" if task == "multiclass" else "sigmoid"
