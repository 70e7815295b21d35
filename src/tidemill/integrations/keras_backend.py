"""Keras on whichever of its backends is installed, when nobody has chosen one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from tidemill.core.errors import MissingExtraError

if "KERAS_BACKEND" not in os.environ:
    _installed = next((name for name in ("tensorflow", "torch", "jax") if find_spec(name) is not None), None)
    if _installed is not None:
        os.environ["KERAS_BACKEND"] = _installed

try:
    import keras
except ImportError as error:
    raise MissingExtraError(str(error.name), "keras", purpose="a model of Keras") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Keras and its backend say about their own use of NumPy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


__all__ = ["keras", "quiet"]
