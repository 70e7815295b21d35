"""The libraries that only training needs, loaded when they are used, with one error that names the extra."""

from __future__ import annotations

import importlib
from types import ModuleType

from tidemill.core.errors import MissingExtraError


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a module, or say which extra brings it.

    >>> require("no_such_library", extra="ml", purpose="Tuning")
    Traceback (most recent call last):
    tidemill.core.errors.MissingExtraError: Tuning needs the package 'no_such_library', which is not installed. \
Run: pip install "tidemill[ml]"
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name != package:
            raise
        raise MissingExtraError(package, extra, purpose=purpose) from None
