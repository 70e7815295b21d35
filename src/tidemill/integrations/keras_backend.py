"""Keras on whichever of its backends is installed, when nobody has chosen one."""

from __future__ import annotations

import os
import warnings
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

# Keras's own about how it speaks to NumPy. Not for a block: steps run beside each other, and filters are everybody's.
warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy", category=DeprecationWarning)

__all__ = ["keras"]
