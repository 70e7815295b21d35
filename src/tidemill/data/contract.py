"""What a table must be: a contract is data, written in Python or TOML, inferred from a table, stored as JSON."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

from tidemill.core.digests import digest_value
from tidemill.core.errors import ConfigError, UsageError

#: What a broken rule means: noted; the row goes to quarantine; the step fails.
Severity = Literal["warn", "quarantine", "fail"]

#: What a rule about the table as a whole can mean when it is broken: it has no rows to set aside.
TableSeverity = Literal["warn", "fail"]

_SEVERITIES = ("warn", "quarantine", "fail")
Rule = TypeVar("Rule", bound="ColumnRule | Unique | ForeignKey | Check | Monotone | Freshness | Distribution")


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """What one column must be.

    Parameters
    ----------
    name
        The column.
    type
        Its physical type as the schema names it (``"int64"``), or ``"number"`` or ``"timestamp"`` for any such; None
        for any type. A wrong type always fails: no row of it can be trusted.
    required
        Whether the column must be there; absence always fails.
    nullable
        Whether a value may be missing.
    minimum, maximum
        The closed range of values: numbers, or ISO text for dates and times.
    values
        The allowed values.
    pattern
        A regular expression (of Rust's syntax) that the whole text must match.
    severity
        What a value that breaks one of the above means.
    """

    name: str
    type: str | None = None
    required: bool = True
    nullable: bool = True
    minimum: float | str | None = None
    maximum: float | str | None = None
    values: tuple[Any, ...] | None = None
    pattern: str | None = None
    severity: Severity = "quarantine"


@dataclass(frozen=True, slots=True)
class Unique:
    """No two rows share their values in these columns; the first row of each key is good. Missing keys do not count."""

    columns: tuple[str, ...]
    severity: Severity = "quarantine"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """The values of `columns` are in the columns `to` of the reference table `table`; missing ones do not count."""

    columns: tuple[str, ...]
    table: str
    to: tuple[str, ...]
    severity: Severity = "warn"


@dataclass(frozen=True, slots=True)
class Check:
    """A SQL condition that must hold in every row (``"arr_time >= dep_time"``); where it is null, it holds.

    Of the language ``"polars"``, the condition is a Polars expression as text: see `expression_check`.
    """

    name: str
    condition: str
    severity: Severity = "quarantine"
    language: Literal["sql", "polars"] = "sql"


@dataclass(frozen=True, slots=True)
class Monotone:
    """A column never falls from row to row (with `strict`, always rises), within the rows of equal values in `by`."""

    column: str
    by: tuple[str, ...] = ()
    strict: bool = False
    severity: Severity = "quarantine"


@dataclass(frozen=True, slots=True)
class Freshness:
    """The latest time in a column is at most this old (``"2d"``); concerns the table as a whole."""

    column: str
    within: str
    severity: TableSeverity = "fail"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A column is distributed like a reference: at most so far from its profile; concerns the table as a whole.

    Parameters
    ----------
    column
        The column.
    profile
        Its profile in the reference, as `tidemill.measures.population` makes it.
    at_most
        The largest distance.
    measure
        ``"psi"``, ``"jensen_shannon"`` or ``"missing"``: how much the share of missing values has grown.
    """

    column: str
    profile: Mapping[str, Any]
    at_most: float = 0.2
    measure: Literal["psi", "jensen_shannon", "missing"] = "psi"
    severity: TableSeverity = "warn"


@dataclass(frozen=True, slots=True)
class TableContract:
    """What a table must be.

    Parameters
    ----------
    name
        For messages.
    columns, unique, foreign_keys, checks, monotone, freshness, distributions
        The rules.
    min_rows, max_rows
        Bounds of the number of rows; outside them the validation fails.
    extra_columns
        Whether columns without a rule may be there; if not, they fail.
    max_quarantined
        The largest share of rows that may go to quarantine before the validation fails.

    Examples
    --------
    >>> contract = TableContract("weather", (ColumnRule("wind_speed", "number", minimum=0, maximum=200),))
    >>> TableContract.from_dict(contract.to_dict()) == contract
    True
    """

    name: str
    columns: tuple[ColumnRule, ...] = ()
    unique: tuple[Unique, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    monotone: tuple[Monotone, ...] = ()
    freshness: tuple[Freshness, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    min_rows: int = 1
    max_rows: int | None = None
    extra_columns: bool = True
    max_quarantined: float = 0.5

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping without what is at its default."""
        out = _without_defaults(self)
        for key in RULES:
            if out.get(key):
                out[key] = [_without_defaults(rule) for rule in getattr(self, key)]
        return out

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> TableContract:
        """Read what `to_dict` wrote, or a table of a TOML file; an unknown key is an error."""
        given = _known(cls, raw, "the contract")
        for key, kind in RULES.items():
            if key in given:
                given[key] = _rules(kind, given[key])
        if "name" not in given:
            raise ConfigError("a contract needs a name", value=dict(raw), hint='Write name = "flights".')
        return cls(**given)


def require_contract(contract: object) -> None:
    """Refuse what is not a contract, and say how to make one of it."""
    if isinstance(contract, TableContract):
        return
    hint = "Write a TableContract, or load one from the store: tm.load_contract(NAME)."
    if isinstance(contract, Mapping):
        hint = "Make one of it: TableContract.from_dict(…)."
    elif isinstance(contract, str):
        hint = "Load it: tm.load_contract(NAME) from the store, contract_from_toml(TEXT) from a file."
    shown = contract if isinstance(contract, Mapping | str | int | float) else type(contract).__name__
    raise UsageError("not a contract", value=shown, hint=hint)


def contract_digest(contract: TableContract) -> str:
    """The digest of what a contract says.

    >>> contract_digest(TableContract("a")) == contract_digest(TableContract.from_dict({"name": "a"}))
    True
    """
    return digest_value(_plain(asdict(contract)))


def _plain(value: Any) -> Any:
    """Lists for tuples, so that a contract that was read from a file is the one that was written."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


#: The kinds of rules by their key in a contract.
RULES: dict[str, type[Any]] = {
    "columns": ColumnRule, "unique": Unique, "foreign_keys": ForeignKey, "checks": Check,
    "monotone": Monotone, "freshness": Freshness, "distributions": Distribution,
}  # fmt: skip


def _rules(kind: type[Rule], raw: Sequence[Mapping[str, Any]] | Mapping[str, Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Rules from a list of tables; columns and checks may also be a table by name."""
    if isinstance(raw, Mapping):
        raw = [{"name": name, **_table(kind, rule)} for name, rule in raw.items()]
    out = []
    for entry in raw if isinstance(raw, list | tuple) else [raw]:
        given = _known(kind, _table(kind, entry), f"a {kind.__name__} rule")
        for key in ("values", "columns", "to", "by"):
            if isinstance(given.get(key), str):
                given[key] = (given[key],)
            elif given.get(key) is not None:
                given[key] = tuple(given[key])
        known = ("warn", "fail") if kind in (Freshness, Distribution) else _SEVERITIES
        if given.get("severity", "warn") not in known:
            raise ConfigError(
                f"not a severity of a {kind.__name__} rule",
                value=given["severity"],
                hint=f"Use one of {', '.join(known)}.",
            )
        if given.get("language", "sql") not in ("sql", "polars"):
            raise ConfigError("not a language of a check", value=given["language"], hint='Use "sql" or "polars".')
        try:
            out.append(kind(**given))
        except TypeError as error:
            raise ConfigError(f"a {kind.__name__} rule is incomplete: {error}", value=given) from None
    return tuple(out)


def _table(kind: type, entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"a {kind.__name__} rule is a table of keys", value=entry, hint="Write { key = value, … }.")
    return entry


def _known(kind: type, raw: Mapping[str, Any], where: str) -> dict[str, Any]:
    names = [field.name for field in fields(kind)]
    for key in raw:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(names)}."
            raise ConfigError(f"{where} has an unknown key", value=key, hint=hint)
        expected = next((word for word, keys in _WRITTEN.items() if key in keys), None)
        if expected is not None and raw[key] is not None and not _is(expected, raw[key]):
            raise ConfigError(f"{key} of {where} is not {expected}", value=raw[key], hint=_HINTS[expected])
    return dict(raw)


#: How the values of keys are written.
_WRITTEN = {
    "true or false": {"required", "nullable", "strict", "extra_columns"},
    "a whole number": {"min_rows", "max_rows"},
    "a number": {"max_quarantined", "at_most"},
    "text": {"name", "type", "pattern", "table", "condition", "column", "within", "measure"},
}
_HINTS = {
    "true or false": "Write it without quotes.", "a whole number": "Write it without quotes.",
    "a number": "Write it without quotes.", "text": "Write it in quotes.",
}  # fmt: skip


def _is(expected: str, value: Any) -> bool:
    if expected == "text":
        return isinstance(value, str)
    if expected == "true or false":
        return isinstance(value, bool)
    return isinstance(value, int if expected == "a whole number" else int | float) and not isinstance(value, bool)


def _without_defaults(record: Any) -> dict[str, Any]:
    full = asdict(record)
    out = {field.name: full[field.name] for field in fields(record) if full[field.name] != field.default}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in out.items()}
