"""What the project promised, each promise checkable: a metric, a bound, and the moments at which it must hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, get_args

from tidemill.core.errors import ConfigError
from tidemill.design import strict

Moment = Literal["evaluation", "test", "package", "production"]

#: The moments in the order of a model's life; promotion needs every requirement that names one of the first three.
MOMENTS: tuple[Moment, ...] = get_args(Moment)
_DEFAULT: tuple[Moment, ...] = ("evaluation", "test")
_KEYS = ("statement", "metric", "at_least", "at_most", "checked", "certain", "slice", "better_than", "relative")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One promise.

    Parameters
    ----------
    name
        Its key in ``[requirements.NAME]``.
    statement
        The promise in words.
    metric
        What is measured.
    at_least, at_most
        The bounds, both included; at least one of them is set, or `better_than` is.
    checked
        The moments at which it must hold.
    certain
        Whether the whole interval must be inside the bounds, not the value alone.
    slice
        A slicing of the rows, such as ``"carrier"``, on each part of which it must hold; empty for all rows together.
    better_than
        Whom the model must be better than on the same rows: ``"champion"`` (the model that was passed as `against`),
        ``"baselines"`` (each of them), or one by name. The bounds are then of the improvement. Without a bound it must
        be above 0: an equal model is not better; `at_least` 0 lets an equal one pass.
    relative
        With `better_than`: whether the bounds are shares of the other's value.
    """

    name: str
    statement: str
    metric: str
    at_least: float | None = None
    at_most: float | None = None
    checked: tuple[Moment, ...] = _DEFAULT
    certain: bool = False
    slice: str = ""
    better_than: str = ""
    relative: bool = False

    def margin(self, value: float) -> float:
        """How far a value is inside the nearest bound; negative when it is outside.

        >>> Requirement("ranking", "", "roc_auc", at_least=0.65).margin(0.75)
        0.1
        """
        lower = 0.0 if self.at_least is None and self.at_most is None else self.at_least
        room = [value - lower] if lower is not None else []
        room += [self.at_most - value] if self.at_most is not None else []
        return round(min(room), 12)

    def holds(self, value: float) -> bool:
        """Whether a value is inside the bounds; an improvement without a bound must be one.

        >>> better = Requirement("progress", "", "roc_auc", better_than="champion")
        >>> better.holds(0.01), better.holds(0.0)
        (True, False)
        """
        room = self.margin(value)
        return room > 0 if self.at_least is None and self.at_most is None else room >= 0

    @property
    def bound(self) -> str:
        """The bound as people write it.

        >>> Requirement("response", "", "latency_p99_ms", at_most=20).bound
        'latency_p99_ms <= 20'
        """
        of = f"{self.metric}, better than {self.better_than} by" if self.better_than else self.metric
        if self.better_than and self.at_least is None and self.at_most is None:
            said = f"{self.metric} better than {self.better_than}"
        elif self.at_least is not None and self.at_most is not None:
            said = f"{self._number(self.at_least)} <= {of} <= {self._number(self.at_most)}"
        elif self.at_least is not None:
            said = f"{of} >= {self._number(self.at_least)}"
        else:
            said = f"{of} <= {self._number(self.at_most)}"
        where = f" on each {self.slice}" if self.slice else ""
        return f"{said}{where}{' for certain' if self.certain else ''}"

    def _number(self, bound: float | None) -> str:
        return f"{bound:g}" if not self.relative else f"{100 * (bound or 0.0):g} %"


def requirements_of(raw: Mapping[str, Mapping[str, Any]]) -> tuple[Requirement, ...]:
    """Read the ``[requirements.*]`` tables of a project.

    Parameters
    ----------
    raw
        `Project.requirements`: tables by name, as TOML has them.

    Raises
    ------
    ConfigError
        For an unknown key or moment (with the nearest known one), a missing metric or bound, or bounds that nothing
        can meet.

    Examples
    --------
    >>> found = requirements_of({"ranking": {"metric": "roc_auc", "at_least": 0.65}})
    >>> found[0].checked
    ('evaluation', 'test')
    """
    return tuple(_requirement(name, table) for name, table in raw.items())


def at_moments(
    requirements: Iterable[Requirement], moments: Iterable[Moment]
) -> tuple[tuple[Moment, Requirement], ...]:
    """Every pair of a moment and a requirement that must hold then, in the order of the moments."""
    wanted = [moment for moment in MOMENTS if moment in set(moments)]
    listed = tuple(requirements)
    return tuple((moment, found) for moment in wanted for found in listed if moment in found.checked)


def _requirement(name: str, raw: Any) -> Requirement:
    where = f"[requirements.{name}]"
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where} should be a table", value=raw, hint="Write a metric and at_least or at_most in it.")
    strict.known_keys(raw, _KEYS, where)
    at_least, at_most = strict.number(raw, "at_least", where), strict.number(raw, "at_most", where)
    better_than = strict.text(raw, "better_than", where)
    if at_least is None and at_most is None and not better_than:
        raise ConfigError(f"{where} has no bound", hint="Write at_least = NUMBER, at_most = NUMBER, or both.")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise ConfigError(f"{where} can never hold", value=(at_least, at_most), hint="at_least is above at_most.")
    metric = strict.text(raw, "metric", where, default=None)
    statement = strict.text(raw, "statement", where) or name.replace("_", " ")
    relative = _flag(raw, "relative", where)
    if relative and not better_than:
        raise ConfigError(f"relative of {where} needs better_than", hint="Say what it is relative to, or leave it out.")
    return Requirement(
        name,
        statement,
        metric,
        at_least,
        at_most,
        _moments(raw.get("checked", list(_DEFAULT)), where),
        certain=_flag(raw, "certain", where),
        slice=strict.text(raw, "slice", where),
        better_than=better_than,
        relative=relative,
    )


def _flag(raw: Mapping[str, Any], key: str, where: str) -> bool:
    value = raw.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{key} of {where} should be true or false", value=value, hint="Leave it out for false.")
    return value


def _moments(raw: Any, where: str) -> tuple[Moment, ...]:
    if not isinstance(raw, list | tuple) or not raw:
        raise ConfigError(
            f"checked of {where} should be a list of moments", value=raw, hint=f"Moments are {', '.join(MOMENTS)}."
        )
    for moment in raw:
        if moment not in MOMENTS:
            near = get_close_matches(str(moment), MOMENTS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Moments are {', '.join(MOMENTS)}."
            raise ConfigError(f"{where} is checked at an unknown moment", value=moment, hint=hint)
    return tuple(moment for moment in MOMENTS if moment in raw)
