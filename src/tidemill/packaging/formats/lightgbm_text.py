"""LightGBM models as LightGBM's own text format."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import UnsafeModelError
from tidemill.core.tasks import Task
from tidemill.packaging.formats import of_each_class, only_file
from tidemill.packaging.formats.lightgbm_audit import audit

FILE = "model.lightgbm.txt"
#: SHA-256 of the texts that this process has audited lately: a training audits the same one when it is packaged.
_SOUND: OrderedDict[bytes, None] = OrderedDict()
_REMEMBERED = 64


def booster_of(estimator: Any) -> Any:
    """The booster inside an `LGBMModel`, or the booster itself."""
    return estimator if isinstance(estimator, lightgbm.Booster) else estimator.booster_


def save(estimator: Any) -> dict[str, bytes]:
    """The text of the model, as it predicts: up to its best iteration."""
    booster = booster_of(estimator)
    return {FILE: booster.model_to_string(num_iteration=_iterations(booster)).encode()}


def load(files: Mapping[str, bytes]) -> Any:
    """A `lightgbm.Booster`.

    Raises
    ------
    UnsafeModelError
        For what is not LightGBM's text, was cut, or has a tree that points out of itself.
    """
    text = only_file(files, FILE)
    _audited(text)
    try:
        return lightgbm.Booster(model_str=text.decode("utf-8", errors="replace"))
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        raise UnsafeModelError(f"LightGBM cannot read its model: {error}", hint="Package the model again.") from error


def _audited(text: bytes) -> None:
    digest = hashlib.sha256(text).digest()
    if digest in _SOUND:
        return
    audit(text)
    _SOUND[digest] = None
    while len(_SOUND) > _REMEMBERED:
        _SOUND.popitem(last=False)


def predict(estimator: Any, matrix: NDArray[np.float32], task: Task) -> NDArray[np.float64]:
    """[n] values or probabilities of the positive class, or [n, classes]; one thread."""
    booster = booster_of(estimator)
    scores = booster.predict(matrix, num_iteration=_iterations(booster), num_threads=1, validate_features=False)
    return of_each_class(np.asarray(scores, dtype=np.float64), task)


def _iterations(booster: Any) -> int:
    return int(booster.best_iteration) if booster.best_iteration > 0 else -1
