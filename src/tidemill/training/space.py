"""Where tuning looks: typed ranges of hyperparameters, as plain records, and how one point of a space is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Uniform:
    """A number between `low` and `high`; with `log`, its logarithm is drawn evenly; with `step`, only multiples."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{_how(self.log, self.step)}"


@dataclass(frozen=True, slots=True)
class Integers:
    """A whole number from `low` to `high`, both included, in steps; with `log`, its logarithm is drawn evenly."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __str__(self) -> str:
        return f"whole numbers {self.low} to {self.high}{_how(self.log, self.step if self.step > 1 else None)}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some plain values."""

    options: tuple[Any, ...]

    def __str__(self) -> str:
        return f"one of {', '.join(map(repr, self.options))}"


@dataclass(frozen=True, slots=True)
class Conditional:
    """A part of a space that depends on what was chosen before it: a function of the parameters so far."""

    function: Callable[[dict[str, Any]], Mapping[str, Any]]

    def __str__(self) -> str:
        return f"what {getattr(self.function, '__name__', 'a function')} says of the parameters before it"


Range = Uniform | Integers | Choice
#: Ranges by parameter; any other value is passed on as it is.
Space = Mapping[str, Any]
Draw = Callable[[str, Range], Any]


def uniform(low: float, high: float, *, log: bool = False, step: float | None = None) -> Uniform:
    """A number between `low` and `high`, both included; with `step`, only `low`, `low` + `step`, and so on.

    >>> uniform(0.01, 0.3, log=True)
    Uniform(low=0.01, high=0.3, log=True, step=None)
    """
    _numbers("uniform", low, high, step)
    _ordered(low, high, log=log)
    if step is not None:
        _stepped(low, high, step, log=log)
    return Uniform(float(low), float(high), log, None if step is None else float(step))


def integers(low: int, high: int, *, log: bool = False, step: int = 1) -> Integers:
    """A whole number from `low` to `high`, both included; with `step`, only every so many.

    >>> integers(8, 64, step=8)
    Integers(low=8, high=64, log=False, step=8)
    """
    _numbers("integers", low, high, step, whole=True)
    _ordered(low, high, log=log)
    if step != 1:
        _stepped(low, high, step, log=log)
    return Integers(int(low), int(high), log, int(step))


def choice(options: Iterable[Any]) -> Choice:
    """One of some plain values: text, numbers, flags or None."""
    if isinstance(options, str):
        raise UsageError("a choice needs a list", value=options, hint=f"Write choice([{options!r}, …]).")
    chosen = tuple(options)
    if not chosen:
        raise UsageError("a choice needs at least one option", hint='Write choice(["gbdt", "dart"]).')
    odd = [option for option in chosen if not isinstance(option, str | int | float | bool | None)]
    if odd:
        raise UsageError("a choice is between plain values", value=odd[0], hint="Name it, and build it from the name.")
    kinds = [(type(option), option) for option in chosen]
    twice = [option for place, option in enumerate(chosen) if kinds.index(kinds[place]) < place]
    if twice:
        raise UsageError("an option is in the choice twice", value=twice[0], hint="Write each option once.")
    return Choice(chosen)


def conditional(function: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Conditional:
    """A part of a space that depends on what was chosen before it.

    Parameters
    ----------
    function
        Takes the parameters chosen so far, in the order of the space, and returns the space of the others (which may
        be empty, and may hold further conditional parts).

    Examples
    --------
    >>> def of_the_model(chosen):
    ...     return {"C": uniform(0.01, 100, log=True)} if chosen["model"] == "linear" else {"depth": integers(2, 8)}
    >>> space = {"model": choice(["linear", "tree"]), "of the model": conditional(of_the_model)}
    >>> [sorted(point) for point in grid({**space, "of the model": conditional(lambda chosen: {"depth": 3})})]
    [['depth', 'model'], ['depth', 'model']]
    """
    if not callable(function):
        raise UsageError("a conditional part of a space is a function", value=function, hint="Write def of(chosen): …")
    return Conditional(function)


def has_ranges(space: Space) -> bool:
    """Whether there is anything to look for."""
    return any(isinstance(where, Range | Conditional) for where in space.values())


def is_conditional(space: Space) -> bool:
    """Whether what is looked for depends on what was chosen."""
    return any(isinstance(where, Conditional) for where in space.values())


def drawn(space: Space, draw: Draw) -> dict[str, Any]:
    """One point of a space, in its order: `draw(name, range)` chooses, other values are passed on.

    Raises
    ------
    UsageError
        When a conditional part fails, returns something else than a space, or chooses a parameter again.

    Examples
    --------
    >>> drawn({"depth": integers(2, 8), "seed": 1}, lambda name, where: where.low)
    {'depth': 2, 'seed': 1}
    """
    chosen: dict[str, Any] = {}
    _draw_into(chosen, space, draw)
    return chosen


def contains(where: Range, value: Any) -> bool:
    """Whether a value lies in a range.

    >>> contains(integers(2, 8, step=2), 4), contains(integers(2, 8, step=2), 5), contains(choice([1, 2]), True)
    (True, False, False)
    """
    if isinstance(where, Choice):
        return any(value == option and type(value) is type(option) for option in where.options)
    if isinstance(value, bool) or not isinstance(value, int | float) or not where.low <= value <= where.high:
        return False
    if isinstance(where, Integers) and value != int(value):
        return False
    steps = 0.0 if where.step is None else (value - where.low) / where.step
    return abs(steps - round(steps)) < 1e-8


def grid(space: Space) -> Iterator[dict[str, Any]]:
    """Every point of a space, the last parameter changing fastest.

    Raises
    ------
    UsageError
        For a range of numbers without a step, which has no end of points.

    Examples
    --------
    >>> list(grid({"depth": integers(2, 3), "kind": choice(["a", "b"])}))[1:3]
    [{'depth': 2, 'kind': 'b'}, {'depth': 3, 'kind': 'a'}]
    """
    path: list[list[int]] = []  # at each range on the way, which of its points, and how many it has
    while True:
        places = iter(range(10**9))

        def draw(name: str, where: Range, places: Iterator[int] = places) -> Any:
            place, points = next(places), _points(name, where)
            if place == len(path):
                path.append([0, len(points)])
            return points[path[place][0]]

        yield drawn(space, draw)
        while path and path[-1][0] + 1 == path[-1][1]:
            path.pop()
        if not path:
            return
        path[-1][0] += 1


def _draw_into(chosen: dict[str, Any], space: Space, draw: Draw) -> None:
    for name, where in space.items():
        if isinstance(where, Conditional):
            _draw_into(chosen, _sub_space(name, where, chosen), draw)
        elif name in chosen:
            raise UsageError(
                "a conditional part of the space chooses a parameter again", value=name, hint="Name it in one place."
            )
        else:
            chosen[name] = draw(name, where) if isinstance(where, Range) else where


def _sub_space(name: str, where: Conditional, chosen: dict[str, Any]) -> Space:
    try:
        found = where.function(dict(chosen))
    except Exception as error:
        raise UsageError(
            f"the conditional part {name!r} of the space failed for the parameters so far",
            value=chosen,
            hint=f"It said {type(error).__name__}: {error}",
        ) from error
    if not isinstance(found, Mapping):
        raise UsageError(
            f"the conditional part {name!r} of the space returned no space",
            value=found,
            hint="Return a dict of ranges; an empty one where there is nothing to choose.",
        )
    return found


def _points(name: str, where: Range) -> tuple[Any, ...]:
    if isinstance(where, Choice):
        return where.options
    if isinstance(where, Integers) and not where.log:
        return tuple(range(where.low, where.high + 1, where.step))
    if where.low == where.high:
        return (where.low,)
    if where.log or where.step is None:
        raise UsageError(
            f"a grid needs to know the points of {name!r}", value=str(where), hint="Give it a step, or a choice([…])."
        )
    return tuple(where.low + place * where.step for place in range(round((where.high - where.low) / where.step) + 1))


def _how(log: bool, step: float | None) -> str:  # noqa: FBT001 — a field of a record
    return (", by logarithm" if log else "") + ("" if step is None else f", in steps of {step:g}")


def _numbers(what: str, low: object, high: object, step: object, *, whole: bool = False) -> None:
    for value in (low, high, step):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None and value is step and not whole:
            continue
        if not is_number or not math.isfinite(value) or (whole and value != int(value)):  # type: ignore[arg-type,call-overload]
            kind = "whole numbers" if whole else "finite numbers"
            raise UsageError(f"{what} takes {kind}", value=value, hint="For other values write choice([…]).")


def _ordered(low: float, high: float, *, log: bool) -> None:
    if not low <= high:
        raise UsageError("a range goes from low to high", value=(low, high), hint="Give the smaller number first.")
    if log and low <= 0:
        raise UsageError("a logarithmic range starts above zero", value=low, hint="Start at a small positive number.")


def _stepped(low: float, high: float, step: float, *, log: bool) -> None:
    if step <= 0:
        raise UsageError("the step of a range is above zero", value=step, hint="Leave it out for every value.")
    if log:
        raise UsageError("a range has a step or is logarithmic, not both", value=step, hint="Leave one of them out.")
    count = (high - low) / step
    if abs(count - round(count)) > 1e-9 * max(1.0, count):
        last = low + math.floor(count) * step
        raise UsageError(
            f"a range from {low} in steps of {step} does not end at {high}", value=step, hint=f"End it at {last:g}."
        )
