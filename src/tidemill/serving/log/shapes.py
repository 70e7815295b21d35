"""What a label says, as text: one value, or for a model with several labels which of them hold."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from tidemill.core.errors import InvalidRequestError
from tidemill.core.tasks import TASKS, Task
from tidemill.project.settings import nearest
from tidemill.serving.decisions import FLAGS

#: Values that say of a label of several whether it holds.
_FLAGS: Mapping[Any, bool] = {True: True, False: False, "true": True, "false": False}
#: How yes and no are told, in lower case.
_YES_OR_NO = {"true": "true", "1": "true", "1.0": "true", "false": "false", "0": "false", "0.0": "false"}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Shape:
    """What the truth about the answers of a model looks like.

    Parameters
    ----------
    task
        The kind of question.
    classes
        The classes of its versions, or the names of its labels; empty where an answer is a number.
    """

    task: Task
    classes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The labels of a model that has several."""
        return self.classes if TASKS[self.task].target == "labels" else ()

    @property
    def is_flag(self) -> bool:
        """Whether the truth is yes or no."""
        flags = not self.classes or any(set(pair) <= set(self.classes) for pair in FLAGS)
        return flags and TASKS[self.task].target in ("flag", "flag or nothing")


def shape_of(versions: Iterable[tuple[Task, Iterable[str]]]) -> Shape | None:
    """What all versions of a model take as the truth; None where they do not answer the same kind of question.

    >>> shape_of([("multiclass", ("A", "B")), ("multiclass", ("B", "C"))])
    Shape(task='multiclass', classes=('A', 'B', 'C'))
    """
    told = list(versions)
    if len({task for task, _ in told}) != 1:
        return None
    return Shape(told[0][0], tuple(dict.fromkeys(name for _, classes in told for name in classes)))


def label_text(label: Any, shape: Shape | None = None, *, unseen: bool = False) -> str:
    """A label as it is written.

    Parameters
    ----------
    label
        A text, a number, true or false; for a model with several labels, a mapping of names to whether they hold, or a
        list of those that do.
    shape
        What the model's labels look like; None where the model is not known.
    unseen
        Whether the truth may be a class that the model does not know.

    Raises
    ------
    InvalidRequestError
        With what was expected.

    Examples
    --------
    >>> label_text(True), label_text({"warm": 0, "late": True}), label_text(["warm", "late"])
    ('true', '{"late":true,"warm":false}', '["late","warm"]')

    Where the model is known, a label is written as the model's answers are, and a list says of all labels whether
    they hold:

    >>> label_text(3.0, Shape("multiclass", ("1", "2", "3"))), label_text("1", Shape("binary", ("false", "true")))
    ('3', 'true')
    >>> label_text(["warm"], Shape("multilabel", ("late", "warm")))
    '{"late":false,"warm":true}'
    """
    several = isinstance(label, Mapping | list | tuple)
    if shape is not None and several != bool(shape.names):
        _expect(label, shape.names)
    if several:
        text = _several(label, () if shape is None else shape.names, unseen=unseen)
    else:
        text = _one(label) if shape is None else _fitting(label, _one(label), shape, unseen=unseen)
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
    if isinstance(label, Decimal) and label.is_finite():
        return str(label)
    if isinstance(label, float) and not math.isfinite(label):
        label = None
    if not isinstance(label, str | int | float) or label == "":
        hint = "Send a text, a number, true or false; leave out what is not known yet."
        raise InvalidRequestError("there is no label", value=label, hint=hint)
    return str(label)


def _fitting(label: Any, text: str, shape: Shape, *, unseen: bool) -> str:
    """A label of one value as the model answers it."""
    if TASKS[shape.task].target in ("number", "grade"):
        if isinstance(label, bool) or not math.isfinite(_number(text)):
            raise InvalidRequestError("the model answers with a number", value=label, hint="Send the true one.")
        return text
    if shape.is_flag and text.lower() in _YES_OR_NO:
        return _YES_OR_NO[text.lower()]
    if text in shape.classes:
        return text
    # A file of 1, 2, 3 is read as numbers, with holes in it as 1.0, 2.0, 3.0.
    same = () if isinstance(label, bool) else (name for name in shape.classes if _number(name) == _number(text))
    found = next(iter(same), None)
    if found is None and shape.is_flag:
        raise InvalidRequestError("the model answers with yes or no", value=label, hint="Send true or false.")
    if found is None and not unseen:
        hint = f'{nearest(text, shape.classes)} One that it has not seen yet is taken with "unseen": true (--unseen).'
        raise InvalidRequestError("the model has no such class", value=label, hint=hint)
    return text if found is None else found


def _number(text: str) -> float:
    """A text as a number as tables read it; none at all if it is none, which equals nothing."""
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _several(label: Any, names: tuple[str, ...], *, unseen: bool) -> str:
    given = label.items() if isinstance(label, Mapping) else ((name, True) for name in label)
    told: dict[str, bool] = {}
    for name, value in given:
        if not isinstance(name, str) or not name:
            raise InvalidRequestError("the name of a label is no text", value=name, hint='Send {"late": true, …}.')
        if names and not unseen and name not in names:
            raise InvalidRequestError("the model has no such label", value=name, hint=nearest(name, names))
        if value is not None:
            told[name] = _flag(name, value)
    if not isinstance(label, Mapping):
        return _json({name: name in told for name in (*names, *told)} if names else sorted(told))
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
