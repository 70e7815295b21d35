"""A pandera schema as a contract: read from its attributes, so that pandera itself is not loaded here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tidemill.core.errors import ConfigError, UsageError
from tidemill.data.contract import Check, ColumnRule, Severity, TableContract, Unique

_TYPES = {
    "str": "string", "object": "string", "string": "string", "string[python]": "string", "string[pyarrow]": "string",
    "utf8": "string", "bool": "bool", "boolean": "bool", "date": "date", "categorical": "categorical",
    "category": "categorical", "int": "int64", "float": "float64",
}  # fmt: skip
_COMPARED = {"greater_than": ">", "less_than": "<", "not_equal_to": "<>"}
_VALUES = {
    "greater_than": "min_value", "less_than": "max_value", "not_equal_to": "value", "equal_to": "value",
    "greater_than_or_equal_to": "min_value", "less_than_or_equal_to": "max_value",
}  # fmt: skip
_TEXTS = {"str_matches": "^(?:{})", "str_contains": "{}"}


def contract_from_pandera(
    schema: Any, *, name: str | None = None, severity: Severity = "quarantine", ignore: Sequence[str] = ()
) -> TableContract:
    """Translate a pandera schema (``DataFrameSchema`` or ``DataFrameModel``, of Polars or pandas).

    Types, nullability, presence, uniqueness, ranges, sets and text patterns are translated; nothing is left out
    silently. Coercion is no check and is not translated: `clean` casts.

    Parameters
    ----------
    schema
        The schema, or the model's class.
    name
        The contract's name; by default the schema's.
    severity
        What a broken rule means; a check that only warns in pandera warns here too.
    ignore
        Names of checks to leave out, such as ``"<lambda>"``.

    Raises
    ------
    ConfigError
        For a check that is a Python function, or another that has no counterpart; the message names it.
    UsageError
        If it is no pandera schema.
    """
    if hasattr(schema, "to_schema"):
        schema = schema.to_schema()
    if not hasattr(schema, "columns") or not hasattr(schema, "checks"):
        raise UsageError("not a pandera schema", value=schema, hint="Give a DataFrameSchema or a DataFrameModel.")
    rules, checks, unique = [], [], []
    for column in schema.columns.values():
        if getattr(column, "regex", False):
            raise ConfigError(
                "a pandera column that is a regular expression has no counterpart", value=column.name,
                hint="Name the columns.",
            )  # fmt: skip
        rule, more = _column(column, severity, ignore)
        rules.append(rule)
        checks += more
        if getattr(column, "unique", False):
            unique.append(Unique((column.name,), severity))
    for check in schema.checks or ():
        if check.name not in ignore:
            raise _untranslated(check, "the table")
    keys = schema.unique or []
    if keys:
        unique.append(Unique((keys,) if isinstance(keys, str) else tuple(keys), severity))
    return TableContract(
        name or schema.name or "table", tuple(rules), tuple(unique), checks=tuple(checks), min_rows=0,
        extra_columns=not schema.strict or schema.strict == "filter",
    )  # fmt: skip


def _column(column: Any, severity: Severity, ignore: Sequence[str]) -> tuple[ColumnRule, list[Check]]:
    given: dict[str, Any] = {"severity": severity}
    checks: list[Check] = []
    for check in column.checks or ():
        if check.name in ignore:
            continue
        if getattr(check, "raise_warning", False):
            # One column has one severity: a check of another is a rule of its own.
            checks += _as_conditions(column.name, check, "warn")
            continue
        bounds = _as_bounds(check)
        if bounds is None or any(key in given for key in bounds):
            checks += _as_conditions(column.name, check, severity)
        else:
            given |= bounds
    rule = ColumnRule(
        column.name, _type(column.dtype), required=bool(column.required), nullable=bool(column.nullable), **given
    )
    return rule, checks


def _type(dtype: Any) -> str | None:
    if dtype is None:
        return None
    text = str(dtype).lower()
    if text.startswith("datetime"):
        return "timestamp"
    known = _TYPES.get(text)
    if known is None and text.rstrip("0123456789") in ("int", "uint", "float"):
        return text
    if known is None:
        raise ConfigError("this type of a pandera column has no counterpart", value=str(dtype))
    return known


def _as_bounds(check: Any) -> dict[str, Any] | None:
    """A check as fields of a column's rule; None if it needs a condition."""
    given = check.statistics or {}
    if check.name == "greater_than_or_equal_to":
        return {"minimum": _plain(given["min_value"])}
    if check.name == "less_than_or_equal_to":
        return {"maximum": _plain(given["max_value"])}
    if check.name == "in_range" and given.get("include_min", True) and given.get("include_max", True):
        return {"minimum": _plain(given["min_value"]), "maximum": _plain(given["max_value"])}
    if check.name == "isin":
        return {"values": tuple(given["allowed_values"])}
    if check.name == "equal_to":
        return {"values": (given["value"],)}
    return None


def _as_conditions(column: str, check: Any, severity: Severity) -> list[Check]:
    quoted = column.replace('"', '""')
    conditions = list(_conditions(f'"{quoted}"', check))
    if not conditions:
        raise _untranslated(check, f"column {column!r}")
    return [Check(f"{column}: {check.name}", condition, severity) for condition in conditions]


def _conditions(column: str, check: Any) -> Iterator[str]:
    given, name = check.statistics or {}, str(check.name)
    operators = {"equal_to": "=", "greater_than_or_equal_to": ">=", "less_than_or_equal_to": "<=", **_COMPARED}
    if name in operators:
        yield f"{column} {operators[name]} {_sql(given[_VALUES[name]])}"
    elif name == "in_range":
        low, high = (">=" if given["include_min"] else ">"), ("<=" if given["include_max"] else "<")
        yield f"{column} {low} {_sql(given['min_value'])} AND {column} {high} {_sql(given['max_value'])}"
    elif name in ("isin", "notin"):
        values = given["allowed_values" if name == "isin" else "forbidden_values"]
        yield f"{column} {'NOT ' if name == 'notin' else ''}IN ({', '.join(_sql(value) for value in values)})"
    elif name in ("str_startswith", "str_endswith"):
        function = "STARTS_WITH" if name == "str_startswith" else "ENDS_WITH"
        yield f"{function}({column}, {_sql(next(iter(given.values())))})"
    elif name in _TEXTS:
        pattern = next(iter(given.values()))
        yield f"REGEXP_LIKE({column}, {_sql(_TEXTS[name].format(getattr(pattern, 'pattern', pattern)))})"
    elif name == "str_length":
        for key, sign in (("min_value", ">="), ("max_value", "<="), ("exact_value", "=")):
            if given.get(key) is not None:
                yield f"LENGTH({column}) {sign} {given[key]}"


def _plain(bound: Any) -> float | str:
    return bound if isinstance(bound, int | float) else str(getattr(bound, "isoformat", bound.__str__)())


def _sql(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


def _untranslated(check: Any, where: str) -> ConfigError:
    return ConfigError(
        f"a pandera check of {where} has no counterpart",
        value=check.name or str(check),
        hint="Write it as a Check with a SQL condition, and leave this one out: ignore=[name].",
    )
