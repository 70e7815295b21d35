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
_KEYS = ("statement", "metric", "at_least", "at_most", "checked")


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
        The bounds, both included; at least one of them is set.
    checked
        The moments at which it must hold.
    """

    name: str
    statement: str
    metric: str
    at_least: float | None = None
    at_most: float | None = None
    checked: tuple[Moment, ...] = _DEFAULT

    def margin(self, value: float) -> float:
        """How far a value is inside the nearest bound; negative when it is outside.

        >>> Requirement("ranking", "", "roc_auc", at_least=0.65).margin(0.75)
        0.1
        """
        room = [value - self.at_least] if self.at_least is not None else []
        room += [self.at_most - value] if self.at_most is not None else []
        return round(min(room), 12)

    @property
    def bound(self) -> str:
        """The bound as people write it.

        >>> Requirement("response", "", "latency_p99_ms", at_most=20).bound
        'latency_p99_ms <= 20'
        """
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} <= {self.metric} <= {self.at_most:g}"
        return (
            f"{self.metric} >= {self.at_least:g}" if self.at_least is not None else f"{self.metric} <= {self.at_most:g}"
        )


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
    if at_least is None and at_most is None:
        raise ConfigError(f"{where} has no bound", hint="Write at_least = NUMBER, at_most = NUMBER, or both.")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise ConfigError(f"{where} can never hold", value=(at_least, at_most), hint="at_least is above at_most.")
    metric = strict.text(raw, "metric", where, default=None)
    statement = strict.text(raw, "statement", where) or name.replace("_", " ")
    return Requirement(name, statement, metric, at_least, at_most, _moments(raw.get("checked", list(_DEFAULT)), where))


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
