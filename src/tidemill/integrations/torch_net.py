"""A PyTorch module with how it is trained and what its output means: what is fitted, asked and written."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from tidemill.core.errors import MissingExtraError, ModelError
from tidemill.core.tasks import TASKS, Task
from tidemill.training.frameworks.plan import Plan

try:
    import torch
except ImportError as error:
    raise MissingExtraError("torch", "torch", purpose="a model of PyTorch") from error

Link = Literal["identity", "sigmoid", "softmax"]


class Net(torch.nn.Module):  # type: ignore[misc]  # for mypy, PyTorch is Any
    """A module whose output, through the link of its task, is what the model answers: [rows, outputs].

    Parameters
    ----------
    module
        The user's own; its output is [rows] or [rows, outputs], before any sigmoid or softmax.
    plan
        How it is trained.
    params
        What `build` was given.
    """

    def __init__(self, module: torch.nn.Module, plan: Plan, params: Mapping[str, Any] = MappingProxyType({})) -> None:
        super().__init__()
        self.module = module
        self.plan = plan
        self.params = dict(params)
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
