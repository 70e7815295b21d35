"""Parameters that an estimator took and its library does not read: refused, with the nearest that it does."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from tidemill.core.errors import UsageError


def beyond_signature(estimator: Any) -> set[str]:
    """The names that an estimator took as ``**kwargs``: its class does not name them.

    >>> class Open:
    ...     def __init__(self, depth=3, **others):
    ...         self.others = others
    ...
    ...     def get_params(self, deep=True):
    ...         return {"depth": 3, **self.others}
    >>> beyond_signature(Open(dept=4))
    {'dept'}
    """
    return set(estimator.get_params(deep=False)) - signature_names(type(estimator))


def signature_names(kind: type) -> set[str]:
    """The parameters that a class and the classes that it extends name in their ``__init__``."""
    own = [vars(one)["__init__"] for one in kind.__mro__ if "__init__" in vars(one) and one is not object]
    return {name for init in own for name in inspect.signature(init).parameters} - {"self"}


def refuse(estimator: Any, strange: Collection[str], native: Collection[str], besides: str = "") -> None:
    """Raise for names that nothing reads.

    Parameters
    ----------
    estimator
        What took them.
    strange
        Their names; if there are none, nothing happens.
    native
        The names that the library reads beside those that the class names.
    besides
        What else may be wrong than a letter, as a sentence.

    Raises
    ------
    UsageError
        It names them, and the nearest known to the first.
    """
    if not strange:
        return
    first, *others = sorted(strange)
    named = sorted(signature_names(type(estimator)) - {"kwargs"})
    near = get_close_matches(first, named, n=1, cutoff=0.8) or get_close_matches(first, [*named, *sorted(native)], n=1)
    raise UsageError(
        f"{type(estimator).__name__} does not read the parameter{'s' if others else ''}",
        value=[first, *others] if others else first,
        hint=" ".join(part for part in (f"Did you mean {near[0]!r}?" if near else "Leave it out.", besides) if part),
    )
