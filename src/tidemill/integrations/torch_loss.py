"""What the plain loop makes small: the loss of the task, or what the module's own ``training_step`` gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from tidemill.core.errors import ModelError
from tidemill.core.tasks import TASKS
from tidemill.integrations.torch_net import Net, raw_output
from tidemill.training.frameworks.fitting import Fitting, Numbers

_VALUES: Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "squared": lambda output, truth: functional.mse_loss(output, truth, reduction="none"),
    "absolute": lambda output, truth: functional.l1_loss(output, truth, reduction="none"),
    "huber": lambda output, truth: functional.huber_loss(output, truth, reduction="none"),
}


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of rows: a mean, weighted where rows have weights.

    Parameters
    ----------
    net, device
        Whose loss, and where.
    each
        From output [rows, outputs] and truth to [rows]; None where the module has a ``training_step``.
    whole
        Whether the truth is a number of a class.
    """

    net: Net
    device: torch.device
    each: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None
    whole: bool

    def target(self, truth: Numbers) -> torch.Tensor:
        """Targets on the device."""
        return torch.from_numpy(truth.astype(np.int64 if self.whole else np.float32)).to(self.device)

    def of(self, rows: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        """The mean loss of some rows."""
        if self.each is None:
            loss = self.net.module.training_step((rows, truth))
            if not isinstance(loss, torch.Tensor) or loss.ndim:
                raise ModelError(
                    f"{type(self.net.module).__name__}.training_step() did not give a loss",
                    value=loss,
                    hint="Return a tensor with one number: the mean loss of the batch.",
                )
            return loss
        losses = self.each(raw_output(self.net.module, rows), truth)
        return losses.mean() if weights is None else (losses * weights).sum() / weights.sum().clamp_min(1e-12)


def loss_of(net: Net, fitting: Fitting, device: torch.device) -> Loss:
    """The loss of a task; values are learnt in units of their own spread, which the net undoes when it answers.

    Raises
    ------
    ModelError
        For a task that has no loss here, or weights beside a ``training_step``.
    """
    kind = TASKS[fitting.task]
    whole = kind.classifies and fitting.task == "multiclass"
    if callable(getattr(net.module, "training_step", None)):
        if fitting.weights is not None:
            raise ModelError(
                f"{type(net.module).__name__}.training_step() would not know the weights of the rows",
                hint="Weigh the classes in the step itself, and leave the weights out.",
            )
        return Loss(net, device, None, whole)
    if kind.classifies:
        return Loss(net, device, _of_classes if whole else _of_flags, whole)
    if fitting.levels:
        return Loss(net, device, _pinball(net, fitting.levels, device), whole=False)
    if fitting.task not in ("regression", "forecasting"):
        raise ModelError(
            f"there is no loss for the task {fitting.task!r} in the plain loop",
            hint="Give the module a training_step(batch) that returns its loss.",
        )
    values = _VALUES[net.plan.loss]
    return Loss(net, device, lambda output, truth: values(output[:, 0], net.scaled(truth)), whole=False)


def _of_classes(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(output, truth, reduction="none")


def _of_flags(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    flags = truth.unsqueeze(1) if truth.ndim == 1 else truth
    return functional.binary_cross_entropy_with_logits(output, flags, reduction="none").mean(dim=1)


def _pinball(
    net: Net, levels: tuple[float, ...], device: torch.device
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    shares = torch.tensor(levels, dtype=torch.float32, device=device)

    def each(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        over = net.scaled(truth).unsqueeze(1) - output
        return torch.maximum(shares * over, (shares - 1) * over).mean(dim=1)

    return each
