"""Checks written as Polars expressions: kept as text like every other rule, so that a contract stays data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError
from tidemill.data.contract import Check, Severity


def expression_check(
    name: str, expression: pl.Expr | Callable[[], pl.Expr], severity: Severity = "quarantine"
) -> Check:
    """A check from a Polars expression, or from a function that returns one.

    The expression must hold in every row; where it is null, it holds. What the contract keeps is the expression itself:
    an edit of the function that changes it changes the contract, its digest and the key of every step that gets it.

    Parameters
    ----------
    name
        What the rule is called in reports and reasons.
    expression
        The expression; it may hold no Python function (``map_elements``), which could not be stored.
    severity
        What a row that breaks it means.

    Examples
    --------
    >>> check = expression_check("lands after it starts", lambda: pl.col("arr") >= pl.col("dep"))
    >>> from tidemill.data.contract import TableContract
    >>> from tidemill.data.validate import validate
    >>> trips = pl.DataFrame({"dep": [5, 7, 6], "arr": [6, 6, None]})
    >>> validate(trips, TableContract("trips", checks=(check,))).quarantined["reasons"].to_list()
    [['lands after it starts']]
    """
    made = expression() if callable(expression) else expression
    if not isinstance(made, pl.Expr):
        raise ConfigError(f"check {name!r} is no Polars expression", value=made, hint="Write pl.col(…) > ….")
    try:
        text = made.meta.serialize(format="json")
    except pl.exceptions.PolarsError as error:
        raise ConfigError(f"the expression of check {name!r} cannot be stored: {error}") from error
    if _holds_function(json.loads(text)):
        raise ConfigError(
            f"the expression of check {name!r} holds a Python function, which a contract cannot keep",
            value=str(made),
            hint="Say it with Polars' own operations, or compute a column in a step and check that.",
        )
    return Check(name, text, severity, language="polars")


def condition_of(check: Check) -> pl.Expr:
    """The condition of a check as an expression.

    Raises
    ------
    ConfigError
        If the text is no condition of its language; the message names the check.
    """
    try:
        if check.language == "sql":
            return pl.sql_expr(check.condition)
        return pl.Expr.deserialize(check.condition.encode(), format="json")
    except pl.exceptions.PolarsError as error:
        raise ConfigError(
            f"check {check.name!r} is not a {_LANGUAGES[check.language]} condition: {str(error).splitlines()[0]}",
            value=check.condition,
            hint='A column whose name has spaces or signs stands in double quotes: "Mass (g)" > 0.',
        ) from error


_LANGUAGES = {"sql": "SQL", "polars": "Polars"}


def _holds_function(node: Any) -> bool:
    if isinstance(node, dict):
        return any("Anonymous" in key or "Python" in key or _holds_function(item) for key, item in node.items())
    return isinstance(node, list) and any(_holds_function(item) for item in node)
