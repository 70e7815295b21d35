"""The state of a training that is part of a run, kept in the store: a killed one goes on instead of starting anew.

A checkpoint lies under the key of the step: other code, parameters or data never find it. It is written whole before it
is named, replaced by the next one, and dropped with the success of the step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidemill.core.digests import digest_value
from tidemill.core.errors import CorruptArtifactError, UsageError
from tidemill.engine.context import current
from tidemill.project import current_project, open_project_store
from tidemill.store import Store, checkpoints
from tidemill.training.frameworks.fitting import Fitting


@dataclass(slots=True)
class Checkpoint:
    """Where one training of a step keeps its state; see `checkpoint_of`."""

    store: Store
    key: str
    name: str
    saved: int = 0

    def load(self) -> bytes | None:
        """The last state that was saved; None if there is none, or its bytes are damaged or gone."""
        with self.store.metadata.reading() as tx:
            found = checkpoints.find(tx, self.key, self.name)
        try:
            return None if found is None else self.store.artifacts.read(found[0])
        except CorruptArtifactError:  # it only saves time: without it the training starts from the beginning
            return None

    def save(self, data: bytes, note: Mapping[str, Any]) -> None:
        """Keep a state instead of the last one; `note` says to people what it is."""
        blob = self.store.artifacts.put(data)
        with self.store.metadata.transaction() as tx:
            if not self.saved:
                checkpoints.drop_old(tx)
            checkpoints.put(tx, self.key, self.name, blob=blob.digest, size=blob.size, note=note)
        self.saved += 1


def checkpoint_of(name: str) -> Checkpoint | None:
    """Where the running step keeps the state of a training; None outside a run, where nobody could go on.

    Parameters
    ----------
    name
        Says all that is known of what the training depends on (`training_name`), since a step may train several
        models. Those of one name are told apart by their order, so that none goes on with what another has left.

    Examples
    --------
    >>> checkpoint_of("outside a run") is None
    True
    """
    step = current()
    if step is None or not step.key:
        return None
    step.trained.append(name)
    return Checkpoint(open_project_store(current_project()), step.key, f"{name}-{step.trained.count(name)}")


def training_name(
    fitting: Fitting, params: Mapping[str, Any], about: Sequence[str], weights: Iterable[NDArray[Any]]
) -> str:
    """A digest of what a training depends on beside the code of its step.

    Parameters
    ----------
    fitting
        The rows, and how they are fitted.
    params
        What `build` was given; of values that are not plain only the names count.
    about, weights
        What else is known: how the model is made and trained, and the weights that it begins with.
    """
    hasher = hashlib.sha256()
    rows = (fitting.matrix, fitting.truth, fitting.validation, fitting.validation_truth, fitting.weights)
    for array in (*rows, *weights):
        if array is not None:
            hasher.update(f"{array.dtype} {array.shape}".encode())
            hasher.update(np.ascontiguousarray(array).tobytes())
    plain = [fitting.task, list(fitting.levels), fitting.seed, fitting.threads, fitting.early_stopping]
    given = {name: _plain(value) for name, value in params.items()}
    return digest_value([hasher.hexdigest(), list(about), plain, given])


def _plain(value: Any) -> str:
    try:
        return digest_value(value)
    except UsageError:
        return ""
