"""Arguments as they are at the moment of a call: what a body or a step does to its own lists later changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

from tidemill.engine.materialisers.registry import has_own

_UNCHANGING = frozenset({str, int, float, bool, type(None), bytes})


def snapshot(value: Any, other: Callable[[Any], Any] | None = None) -> Any:
    """A copy of the lists, tuples, dicts, sets and plain dataclasses of a structure; the rest stays the same object.

    Parameters
    ----------
    value
        An argument of a step.
    other
        What to put in the place of everything else, such as a reference to where an array was stored.

    Examples
    --------
    >>> numbers = {"odd": [1, 3]}
    >>> taken = snapshot(numbers)
    >>> numbers["odd"].append(5)
    >>> taken
    {'odd': [1, 3]}
    """
    kind = type(value)
    if kind in _UNCHANGING:
        return value
    if kind is list:
        return [snapshot(item, other) for item in value]
    if kind is dict:
        return {key: snapshot(item, other) for key, item in value.items()}
    if isinstance(value, tuple):
        items = [snapshot(item, other) for item in value]
        return kind(*items) if hasattr(value, "_fields") else tuple(items)
    kept = value if other is None else other(value)
    return _copied(kept) if kept is value else kept


def _copied(value: Any) -> Any:
    """A copy of a container or plain record of one's own; what cannot be copied is taken as it is."""
    is_record = is_dataclass(value) and not isinstance(value, type) and not has_own(type(value))
    if not (is_record or isinstance(value, list | dict | set)):
        return value
    try:
        return copy.deepcopy(value)
    except RecursionError:
        raise
    except Exception:  # it holds a connection, a lock or a handle
        return value
