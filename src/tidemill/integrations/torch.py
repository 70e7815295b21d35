"""PyTorch modules: a plain loop of ours, or Lightning's trainer, on a processor or a graphics card."""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

import numpy as np
import torch

from tidemill.core.errors import ModelError
from tidemill.core.tasks import TASKS, Task
from tidemill.integrations.torch_device import device_named
from tidemill.integrations.torch_graph import load, predict, save
from tidemill.integrations.torch_loop import train_net
from tidemill.integrations.torch_net import Net, link_of, raw_output
from tidemill.integrations.torch_repeatable import repeatable
from tidemill.training.checkpoints import Checkpoint, checkpoint_of, training_name
from tidemill.training.frameworks import generic
from tidemill.training.frameworks.fitting import Fitting, Given, Matrix, Numbers
from tidemill.training.frameworks.plan import joint, plan_of
from tidemill.training.seeding import seeded

__all__ = ["fit", "iterations", "joint", "load", "predict", "save", "scores", "settle"]

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def settle(estimator: Any, given: Given) -> Any:
    """The module with its plan, which is read from the parameters."""
    if not isinstance(estimator, torch.nn.Module):
        raise ModelError(
            f"build returned a {type(estimator).__name__}", hint="Return a torch.nn.Module that was not trained yet."
        )
    return Net(estimator, plan_of(given.params, given.unread), given.params)


def fit(estimator: Any, fitting: Fitting) -> Any:
    """Train on the training rows, stop early on the validation rows, and keep the best weights; on the processor then.

    Raises
    ------
    ModelError
        For missing or infinite values, a module of another width or precision than the task and the rows have, a loss
        that is not a number, or a device that is full.
    """
    net: Net = estimator
    generic.refuse_holes(net.module, fitting)
    device = device_named(net.plan.device)
    with repeatable(fitting.threads), seeded(fitting.seed):
        _try_out(net, fitting)
        _learn_scale(net, fitting)
        train = train_net
        if _is_lightning(net.module):
            train = importlib.import_module("tidemill.integrations.torch_lightning").train_lightning
        train(net, fitting, device, _checkpoint(net, fitting))
    return net.cpu().eval()


def scores(estimator: Any, matrix: Matrix, task: Task, outputs: int) -> Numbers:
    """Probabilities or values."""
    return generic.labels(predict(estimator, matrix, task), task, outputs)


def iterations(estimator: Any) -> int | None:
    """After which epoch the weights were the best."""
    return estimator.epochs if isinstance(estimator, Net) else None


def _try_out(net: Net, fitting: Fitting) -> None:
    """Let two rows through, which gives lazy layers their shapes, and look at what comes out."""
    net.cpu().eval()
    net.width = fitting.matrix.shape[1]
    rows = torch.from_numpy(np.ascontiguousarray(fitting.matrix[:2]))
    name = type(net.module).__name__
    try:
        with torch.no_grad():
            output = raw_output(net.module, rows)
    except (RuntimeError, NotImplementedError) as error:
        said = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{name} does not take rows of {rows.shape[1]} float32 numbers: {said}",
            hint=f"Its input is [rows, {rows.shape[1]}] ({', '.join(fitting.names)}); keep its weights in float32.",
        ) from error
    wanted = 1 if TASKS[fitting.task].scores == "one" else fitting.outputs
    if output.ndim != 2 or output.shape[0] != len(rows) or output.shape[1] != wanted:
        raise ModelError(
            f"{name} gives {tuple(output.shape)} for {len(rows)} rows where a {fitting.task} needs {wanted} "
            f"number{'s' if wanted > 1 else ''} a row",
            hint=f"Let its last layer have {wanted} output{'s' if wanted > 1 else ''}, before any sigmoid or softmax.",
        )
    other = sorted({str(weight.dtype) for weight in net.parameters() if weight.is_floating_point()} - {"torch.float32"})
    if other:
        raise ModelError(
            f"{name} has weights of {', '.join(other)}", hint="Keep them in float32: call .float() in build."
        )
    if not any(weight.requires_grad for weight in net.parameters()):
        raise ModelError(f"{name} has no weights that can be learnt", hint="Return a module with parameters.")


def _learn_scale(net: Net, fitting: Fitting) -> None:
    """What the output means; values are learnt in units of their own spread, unless the module has its own step."""
    net.link = link_of(fitting.task)
    own = callable(getattr(net.module, "training_step", None))
    if TASKS[fitting.task].classifies or own:
        return
    spread = float(fitting.truth.std())
    net.centre.fill_(float(fitting.truth.mean()))
    net.spread.fill_(spread if spread > 0 else 1.0)


def _is_lightning(module: Any) -> bool:
    kinds = (getattr(sys.modules.get(name), "LightningModule", None) for name in ("lightning", "pytorch_lightning"))
    return any(kind is not None and isinstance(module, kind) for kind in kinds)


def _checkpoint(net: Net, fitting: Fitting) -> Checkpoint | None:
    weights = (tensor.numpy() for tensor in net.state_dict().values())
    module = _ADDRESS.sub("", repr(net.module))  # of a function in it, elsewhere in every process
    return checkpoint_of(training_name(fitting, net.params, [repr(net.plan), module], weights))
