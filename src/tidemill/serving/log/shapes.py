"""What a label says, as text: one value, or for a model with several labels which of them hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from tidemill.core.errors import InvalidRequestError
from tidemill.project.settings import nearest

#: Values that say of a label of several whether it holds.
_FLAGS: Mapping[Any, bool] = {True: True, False: False, "true": True, "false": False}
_LONGEST = 4096


def label_text(label: Any, names: tuple[str, ...] | None = None) -> str:
    """A label as it is written.

    Parameters
    ----------
    label
        A text, a number, true or false; for a model with several labels, a mapping of names to whether they hold, or a
        list of those that do.
    names
        The labels of the model: none if it answers with one value, None where the model is not known.

    Raises
    ------
    InvalidRequestError
        With what was expected.

    Examples
    --------
    >>> label_text(True), label_text({"warm": 0, "late": True}), label_text(["warm", "late"])
    ('true', '{"late":true,"warm":false}', '["late","warm"]')

    Where the model's labels are known, a list says of all of them whether they hold:

    >>> label_text(["warm"], ("late", "warm"))
    '{"late":false,"warm":true}'
    """
    several = isinstance(label, Mapping | list | tuple)
    if names is not None and several != bool(names):
        _expect(label, names)
    text = _several(label, names or ()) if several else _one(label)
    if len(text) > _LONGEST:
        raise InvalidRequestError("the label is too long", value=text[:80], hint=f"Send at most {_LONGEST} characters.")
    return text


def parts_of(text: str) -> dict[str, bool] | list[str] | None:
    """What `label_text` made of a mapping or a list; None for one value."""
    if text[:1] not in ("{", "["):
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if isinstance(found, dict) and all(isinstance(value, bool) for value in found.values()):
        return found
    return found if isinstance(found, list) and all(isinstance(name, str) for name in found) else None


def _one(label: Any) -> str:
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, float) and not math.isfinite(label):
        label = None
    if not isinstance(label, str | int | float) or label == "":
        hint = "Send a text, a number, true or false; leave out what is not known yet."
        raise InvalidRequestError("there is no label", value=label, hint=hint)
    return str(label)


def _several(label: Any, names: tuple[str, ...]) -> str:
    given = label.items() if isinstance(label, Mapping) else ((name, True) for name in label)
    told: dict[str, bool] = {}
    for name, value in given:
        if not isinstance(name, str) or not name:
            raise InvalidRequestError("the name of a label is no text", value=name, hint='Send {"late": true, …}.')
        if names and name not in names:
            raise InvalidRequestError("the model has no such label", value=name, hint=nearest(name, names))
        if value is not None:
            told[name] = _flag(name, value)
    if not isinstance(label, Mapping):
        return _json({name: name in told for name in names} if names else sorted(told))
    if not told:
        raise InvalidRequestError("there is no label", value=dict(label), hint='Send {"late": true, …}.')
    return _json(told)


def _flag(name: Any, value: Any) -> bool:
    value = value.item() if hasattr(value, "item") and hasattr(value, "dtype") else value
    if isinstance(value, bool | int | float | str) and value in _FLAGS:
        return _FLAGS[value]
    raise InvalidRequestError(f"label {name!r} is neither true nor false", value=value, hint='Send {"late": true, …}.')


def _expect(label: Any, names: tuple[str, ...]) -> None:
    if names:
        example = ", ".join(f'"{name}": true' for name in names[:2])
        hint = f"Send {{{example}, …}}, or a list of those that hold."
        raise InvalidRequestError("the model has several labels", value=label, hint=hint)
    raise InvalidRequestError("the model answers with one value", value=label, hint="Send its truth alone.")


def _json(found: Any) -> str:
    return orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()
