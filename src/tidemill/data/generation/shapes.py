"""What a column of a made-up table holds, as records."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Literal, TypeAlias

from tidemill.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal numbers."""

    mean: float = 0.0
    std: float = 1.0
    kind: Literal["normal"] = "normal"


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Positive numbers with a long tail: the logarithm is normal with standard deviation `sigma`."""

    median: float = 1.0
    sigma: float = 1.0
    kind: Literal["log_normal"] = "log_normal"


@dataclass(frozen=True, slots=True)
class Uniform:
    """Numbers that are equally likely everywhere between two bounds."""

    low: float = 0.0
    high: float = 1.0
    kind: Literal["uniform"] = "uniform"


@dataclass(frozen=True, slots=True)
class Exponential:
    """Waiting times with this mean."""

    mean: float = 1.0
    kind: Literal["exponential"] = "exponential"


@dataclass(frozen=True, slots=True)
class Poisson:
    """Counts of events with this mean, at most 500."""

    mean: float = 1.0
    kind: Literal["poisson"] = "poisson"


@dataclass(frozen=True, slots=True)
class Whole:
    """Whole numbers from `low` to `high`, both included."""

    low: int = 0
    high: int = 9
    kind: Literal["whole"] = "whole"


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Numbers distributed like some known ones: their quantiles at equal steps of probability, from 0 to 1."""

    values: tuple[float, ...]
    kind: Literal["quantiles"] = "quantiles"


@dataclass(frozen=True, slots=True)
class Category:
    """Categories with weights; a correlation sees them in the order given."""

    weights: Mapping[str, float]
    kind: Literal["category"] = "category"


@dataclass(frozen=True, slots=True)
class Flag:
    """True in this share of rows."""

    share: float = 0.5
    kind: Literal["flag"] = "flag"


@dataclass(frozen=True, slots=True)
class Serial:
    """Row numbers; with a prefix, as text of equal length."""

    start: int = 1
    prefix: str | None = None
    kind: Literal["serial"] = "serial"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text by a pattern: ``#`` is a digit, ``?`` a capital, everything else itself (``"N###??"``)."""

    pattern: str
    kind: Literal["pattern"] = "pattern"


PersonPart = Literal["first_name", "last_name", "name", "email", "phone", "street", "city", "postcode"]


@dataclass(frozen=True, slots=True)
class Person:
    """Text that looks personal and belongs to nobody; the parts of one row agree (name and e-mail address).

    Addresses are at domains that are reserved for examples, telephone numbers in ranges reserved for fiction.
    """

    part: PersonPart = "name"
    kind: Literal["person"] = "person"


@dataclass(frozen=True, slots=True)
class Times:
    """Moments between two dates, with seasons.

    Parameters
    ----------
    start, end
        ISO dates or times on the clock of `zone`; the end is not included.
    daily, weekly, yearly
        Weights of the 24 hours, of the 7 days from Monday, of the 12 months; empty for equal ones.
    zone
        The clock that the seasons follow; the column is in UTC.
    ordered
        Whether rows come in the order of time.
    """

    start: str
    end: str
    daily: tuple[float, ...] = ()
    weekly: tuple[float, ...] = ()
    yearly: tuple[float, ...] = ()
    zone: str = "UTC"
    ordered: bool = True
    kind: Literal["times"] = "times"


@dataclass(frozen=True, slots=True)
class Reference:
    """Values of a column of another table; with `skew` above 0 its first rows are drawn more often."""

    table: str
    column: str
    skew: float = 0.0
    kind: Literal["reference"] = "reference"


@dataclass(frozen=True, slots=True)
class Derived:
    """A SQL expression over the row's other columns, which may come before or after it if they are not derived."""

    expression: str
    kind: Literal["derived"] = "derived"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A flag that is drawn with the probability whose log-odds a SQL expression over the row gives."""

    log_odds: str
    kind: Literal["outcome"] = "outcome"


Shape: TypeAlias = (
    Normal | LogNormal | Uniform | Exponential | Poisson | Whole | Quantiles | Category | Flag
    | Serial | Pattern | Person | Times | Reference | Derived | Outcome
)  # fmt: skip

#: How many rows a table has whose specification does not say.
DEFAULT_ROWS = 1000

#: Shapes that follow from one number between 0 and 1, and may be correlated.
DRAWN: tuple[type, ...] = (Normal, LogNormal, Uniform, Exponential, Poisson, Whole, Quantiles, Category, Flag)

_SHAPES: dict[str, type] = {
    str(next(item.default for item in fields(shape) if item.name == "kind")): shape
    for shape in (*DRAWN, Serial, Pattern, Person, Times, Reference, Derived, Outcome)
}


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """A column to be made.

    Parameters
    ----------
    name, shape
        Its name and what it holds.
    missing
        The share of rows in which it is missing, at random.
    decimals
        To how many decimals fractional numbers are rounded.
    """

    name: str
    shape: Shape
    missing: float = 0.0
    decimals: int = 6


@dataclass(frozen=True, slots=True)
class Correlation:
    """How closely two columns go together: the correlation of the normal scores behind them, from -1 to 1."""

    left: str
    right: str
    value: float


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table to be made; see `tidemill.data.generate.generate`.

    >>> spec = TableSpec("planes", 10, (ColumnSpec("tail", Pattern("N###??")), ColumnSpec("seats", Whole(20, 400))))
    >>> TableSpec.from_dict(spec.to_dict()) == spec
    True
    """

    name: str
    rows: int
    columns: tuple[ColumnSpec, ...]
    correlations: tuple[Correlation, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> TableSpec:
        """Read what `to_dict` wrote, or the shorter form that people write.

        ``columns`` may be a table by name, and the options of a column's kind may stand beside its own:
        ``{"miles": {"kind": "log_normal", "median": 870, "decimals": 1}}``. An unknown kind or option is an error.

        >>> spec = TableSpec.from_dict(
        ...     {"name": "planes", "rows": 5, "columns": {"seats": {"kind": "whole", "high": 99}}}
        ... )
        >>> spec.columns[0]
        ColumnSpec(name='seats', shape=Whole(low=0, high=99, kind='whole'), missing=0.0, decimals=6)
        """
        _require(raw, known=("name", "rows", "columns", "correlations"), needed=("name", "columns"), what="a table")
        given = raw["columns"]
        entries = [{"name": name, **entry} for name, entry in given.items()] if isinstance(given, Mapping) else given
        columns = tuple(_column(entry) for entry in entries)
        links = raw.get("correlations", ())
        for link in links:
            _require(link, known=("left", "right", "value"), needed=("left", "right", "value"), what="a correlation")
        return cls(raw["name"], raw.get("rows", DEFAULT_ROWS), columns, tuple(Correlation(**link) for link in links))


def _require(raw: Mapping[str, Any], *, known: Sequence[str], needed: Sequence[str], what: str) -> None:
    """An error that names options that are missing or unknown."""
    missing, unknown = [name for name in needed if name not in raw], sorted(set(raw) - set(known))
    if missing or unknown:
        words = f"needs {', '.join(missing)}" if missing else f"has unknown options {', '.join(unknown)}"
        raise ConfigError(f"the specification of {what} {words}", value=dict(raw), hint=f"Known: {', '.join(known)}.")


def _column(entry: Mapping[str, Any]) -> ColumnSpec:
    own = {name: entry[name] for name in ("name", "missing", "decimals") if name in entry}
    if "name" not in own:
        raise ConfigError("the specification of a column needs name", value=dict(entry))
    beside = {name: value for name, value in entry.items() if name not in own and name != "shape"}
    return ColumnSpec(shape=_shape({**entry.get("shape", {}), **beside}), **own)


def _shape(raw: Mapping[str, Any]) -> Shape:
    kind = _SHAPES.get(raw.get("kind", ""))
    if kind is None:
        near = difflib.get_close_matches(str(raw.get("kind")), _SHAPES, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_SHAPES)}."
        raise ConfigError("no such kind of made-up column", value=raw.get("kind"), hint=hint)
    needed = [item.name for item in fields(kind) if item.default is MISSING and item.default_factory is MISSING]
    _require(raw, known=[item.name for item in fields(kind)], needed=needed, what=f"a column of kind {raw['kind']!r}")
    shape: Shape = kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})
    return shape
