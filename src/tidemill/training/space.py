"""Where tuning looks: typed ranges of hyperparameters, as plain records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Uniform:
    """A number between `low` and `high`; with `log`, its logarithm is drawn evenly."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class Integers:
    """A whole number from `low` to `high`, both included; with `log`, its logarithm is drawn evenly."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some plain values."""

    options: tuple[Any, ...]


Range = Uniform | Integers | Choice
#: Ranges by parameter; any other value is passed on as it is.
Space = Mapping[str, Any]


def uniform(low: float, high: float, *, log: bool = False) -> Uniform:
    """A number between `low` and `high`.

    >>> uniform(0.01, 0.3, log=True)
    Uniform(low=0.01, high=0.3, log=True)
    """
    _ordered(low, high, log=log)
    return Uniform(float(low), float(high), log)


def integers(low: int, high: int, *, log: bool = False) -> Integers:
    """A whole number from `low` to `high`, both included."""
    _ordered(low, high, log=log)
    return Integers(low, high, log)


def choice(options: Iterable[Any]) -> Choice:
    """One of some plain values: text, numbers, flags or None."""
    chosen = tuple(options)
    if not chosen:
        raise UsageError("a choice needs at least one option", hint='Write choice(["gbdt", "dart"]).')
    odd = [option for option in chosen if not isinstance(option, str | int | float | bool | None)]
    if odd:
        raise UsageError("a choice is between plain values", value=odd[0], hint="Name it, and build it from the name.")
    return Choice(chosen)


def _ordered(low: float, high: float, *, log: bool) -> None:
    if not low <= high:
        raise UsageError("a range goes from low to high", value=(low, high), hint="Give the smaller number first.")
    if log and low <= 0:
        raise UsageError("a logarithmic range starts above zero", value=low, hint="Start at a small positive number.")
