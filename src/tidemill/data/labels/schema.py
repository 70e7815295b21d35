"""What a label may be: one of some classes, several of them, or a number."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import polars as pl

from tidemill.core.errors import UsageError
from tidemill.data.expected import FLAG, NUMBER, require, require_set


@dataclass(frozen=True, slots=True)
class LabelSchema:
    """What annotators may answer: one of `classes`; several of them (`multiple`); or, without classes, a number.

    Parameters
    ----------
    classes
        The names to choose from, in the order in which they are shown.
    multiple
        Whether an answer is a set of classes, also an empty one.
    minimum, maximum
        The bounds of a number, both included; none by default.

    Examples
    --------
    >>> LabelSchema(("good", "bad")).kind
    'class'
    >>> LabelSchema(minimum=1, maximum=5).kind
    'number'
    """

    classes: Sequence[str] = ()
    multiple: bool = False
    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.classes, str):
            raise UsageError("classes are a tuple of names", value=self.classes, hint=f"Write ({self.classes!r}, …).")
        if not isinstance(self.classes, Iterable):
            raise UsageError("classes are a tuple of names", value=self.classes, hint='Write ("yes", "no").')
        require("LabelSchema", multiple=(self.multiple, FLAG))
        require_set("LabelSchema", minimum=(self.minimum, NUMBER), maximum=(self.maximum, NUMBER))
        object.__setattr__(self, "classes", tuple(self.classes))
        wrong = [name for name in self.classes if not isinstance(name, str) or not name.strip()]
        if wrong:
            raise UsageError("a class is a text that is not empty", value=wrong[0], hint="Give it a name.")
        twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if twice:
            raise UsageError("a class is named twice", value=twice[0], hint="Name each once.")
        if (len(self.classes) == 1 and not self.multiple) or (self.multiple and not self.classes):
            raise UsageError("there is nothing to choose between", value=self.classes, hint="Name two classes or more.")
        if self.classes and (self.minimum is not None or self.maximum is not None):
            raise UsageError(
                "bounds are for numbers, and classes are no numbers", value=self.classes, hint="Leave one of them out."
            )
        if self.minimum is not None and self.maximum is not None and not self.minimum < self.maximum:
            raise UsageError(
                "the smallest number is not below the largest", value=(self.minimum, self.maximum), hint="Swap them."
            )

    @property
    def kind(self) -> str:
        """``"class"``, ``"multi_label"`` or ``"number"``."""
        return "number" if not self.classes else "multi_label" if self.multiple else "class"

    @property
    def polars_type(self) -> pl.DataType:
        """The type of a column of such labels."""
        return {"class": pl.String(), "multi_label": pl.List(pl.String), "number": pl.Float64()}[self.kind]


def accepted(schema: LabelSchema, value: Any) -> Any:
    """The label as it is stored: a class, a list of classes in the order of the schema, or a finite float.

    Raises
    ------
    UsageError
        If the schema does not allow it.

    Examples
    --------
    >>> accepted(LabelSchema(("red", "green", "blue"), multiple=True), ["blue", "red"])
    ['red', 'blue']
    >>> accepted(LabelSchema(minimum=1, maximum=5), "4")
    4.0
    """
    if schema.kind == "number":
        return _number(schema, value)
    if schema.kind == "class":
        if value not in schema.classes:
            raise _unknown(schema, value)
        return str(value)
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise UsageError("several classes are given as a list", value=value, hint=f"Write [{value!r}].")
    chosen = set(value)
    for one in chosen:
        if one not in schema.classes:
            raise _unknown(schema, one)
    return [name for name in schema.classes if name in chosen]


def names_in(text: str) -> tuple[str, ...]:
    """Names that are typed with commas between them; one that has a comma itself stands in double quotes.

    >>> names_in('good, "bad, but not hopeless"')
    ('good', 'bad, but not hopeless')
    """
    rows = csv.reader([text], skipinitialspace=True)
    return tuple(name.strip() for row in rows for name in row if name.strip())


def parsed(schema: LabelSchema, text: str) -> Any:
    """The label that somebody has typed: a class, classes as in `names_in`, a number."""
    if schema.kind == "multi_label":
        return accepted(schema, names_in(text))
    return accepted(schema, text.strip())


def shown(value: Any) -> str:
    """A label for people.

    >>> [shown(value) for value in ("good", ["a", "b"], [], 4.0, None)]
    ['good', 'a, b', '(none)', '4', '']
    """
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(value) or "(none)"
    return f"{value:g}" if isinstance(value, float) else str(value)


def to_mapping(schema: LabelSchema) -> dict[str, Any]:
    """The schema as the store keeps it."""
    bounds = {"minimum": schema.minimum, "maximum": schema.maximum}
    return {
        "classes": list(schema.classes),
        "multiple": schema.multiple,
        **{name: bound for name, bound in bounds.items() if bound is not None},
    }


def from_mapping(stored: Mapping[str, Any]) -> LabelSchema:
    """The schema that `to_mapping` wrote."""
    return LabelSchema(**{**stored, "classes": tuple(stored["classes"])})


def _number(schema: LabelSchema, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise UsageError("the label is not a number", value=value, hint=f"Give {_range(schema)}.")
    low = -math.inf if schema.minimum is None else schema.minimum
    high = math.inf if schema.maximum is None else schema.maximum
    if not low <= number <= high:
        raise UsageError("the label is out of range", value=value, hint=f"Give {_range(schema)}.")
    return number + 0.0


def _range(schema: LabelSchema) -> str:
    low, high = schema.minimum, schema.maximum
    if low is not None and high is not None:
        return f"a number from {low:g} to {high:g}"
    if low is not None:
        return f"a number from {low:g} on"
    return "a number" if high is None else f"a number up to {high:g}"


def _unknown(schema: LabelSchema, value: Any) -> UsageError:
    near = get_close_matches(str(value), schema.classes, n=1)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    return UsageError("not a class of this queue", value=value, hint=f"{meant}Classes: {', '.join(schema.classes)}.")
