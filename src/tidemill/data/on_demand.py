"""Features on demand, made ready when a model is trained: from SQL over one row to what travels in the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError, SchemaError
from tidemill.data.operations import Derive
from tidemill.data.repairs.deriving import READABLE, columns_read
from tidemill.data.row_programs import row_program


def derivations(operations: Iterable[Derive], schema: Mapping[str, pl.DataType]) -> list[dict[str, Any]]:
    """What travels in a model for each feature on demand; a later one may use those before it.

    Parameters
    ----------
    operations
        The features, each as SQL over one row.
    schema
        The columns that a request has.

    Raises
    ------
    SchemaError
        When an expression needs a column that no request has, or a feature has the name of one.
    ConfigError
        When an expression is no SQL, needs other rows, or makes or needs what is neither number, flag nor text.

    Examples
    --------
    >>> found = derivations([Derive("mph", "miles / hours")], {"miles": pl.Float64(), "hours": pl.Int64()})
    >>> found[0]["column"], found[0]["by"], found[0]["type"]
    ('mph', ['miles', 'hours'], 'float64')
    """
    known, found = dict(schema), []
    for operation in operations:
        repair, dtype = _derivation(operation, known)
        known[operation.into] = dtype
        found.append(repair)
    return found


def _derivation(operation: Derive, known: Mapping[str, pl.DataType]) -> tuple[dict[str, Any], pl.DataType]:
    named = f"the feature {operation.into!r}"
    if operation.into in known:
        raise SchemaError(f"{named} has the name of a column", value=operation.into, hint="Give it another name.")
    try:
        expression = pl.sql_expr(operation.expression)
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"{named} is no SQL: {str(error).splitlines()[0]}", value=operation.expression) from error
    for name in dict.fromkeys(expression.meta.root_names()):
        if name not in known:
            hint = f"Requests have: {', '.join(known)}."
            raise SchemaError(f"{named} needs a column that no request has", value=name, hint=hint)
    try:
        program = row_program(expression, known)
    except ConfigError as error:
        raise ConfigError(f"{named} cannot be computed from one row: {error}", value=operation.expression) from error
    read = columns_read(program)
    strange = [name for name, kind in read.items() if kind not in READABLE]
    dtype = pl.LazyFrame(schema=dict(known)).select(expression.alias("made")).collect_schema()["made"]
    made = "string" if dtype == pl.String else "float64" if dtype.is_numeric() or dtype == pl.Boolean else ""
    problem = ""
    if strange:
        problem = f"needs {strange[0]!r}, which is neither number, flag nor text"
    elif not made:
        problem = "is neither number, flag nor text"
    elif not read:
        problem = "reads no column"
    if problem:
        hint = "Derive it from numbers, flags and texts; a moment becomes hour, weekday and month by itself."
        raise ConfigError(f"{named} {problem}", value=operation.expression, hint=hint)
    about = {"kind": "derive", "column": operation.into, "by": list(read), "type": made, "program": program}
    return {**about, "expression": operation.expression}, pl.String() if made == "string" else pl.Float64()
