"""The usual row, recognised by one generated function: what every check would pass is passed without calling them.

The careful checks of `validator` say what is wrong with a row, one column after the other, at the price of two calls
for each. Almost all rows have nothing wrong. For these the signature is compiled to the source of one function: a few
comparisons a column, no calls. It gives the typed row, or None for any row that it does not know to be in order; that
row then goes the careful way, so there is one meaning and one wording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

from tidemill.core.model import Signature
from tidemill.core.schema import Column

#: The typed row in the signature's order, or None when the careful checks must look.
Usual = Callable[[Mapping[str, Any]], "dict[str, Any] | None"]
#: The careful check of one value: gives it typed, appends what is unusual to the list, raises for what is refused.
Check = Callable[[Any, list[str]], Any]
Bounds = tuple[float, float]

#: For more columns the source would take longer to compile than it saves; for one, `itemgetter` gives no tuple.
_MOST_COLUMNS = 512


def compile_usual(
    signature: Signature, bounds: Callable[[Column], Bounds | None], checks: Mapping[str, Check]
) -> Usual | None:
    """A function that recognises usual rows of a signature, or None where there is no quick way.

    Parameters
    ----------
    signature
        Its inputs.
    bounds
        The range within which a number passes without a word; None for a column that is no plain number.
    checks
        The careful check of each column, called for those (moments, durations) that comparisons cannot judge.

    Examples
    --------
    >>> from tidemill.core.schema import TableSchema
    >>> columns = (Column("dest", "string", categories=("IAH", "MIA")), Column("distance", "float64"))
    >>> usual = compile_usual(Signature(TableSchema(columns), "regression", "delay"), lambda column: (0.0, 3000.0), {})
    >>> usual({"distance": 1089, "dest": "MIA"})
    {'dest': 'MIA', 'distance': 1089.0}
    >>> usual({"distance": 9000.0, "dest": "MIA"}) is usual({"distance": 1.0}) is None
    True
    """
    columns = tuple(signature.inputs)
    if not 1 < len(columns) <= _MOST_COLUMNS:
        return None
    variables = [f"v{place}" for place in range(len(columns))]
    scope: dict[str, Any] = {"get": itemgetter(*signature.inputs.names)}
    lines = [f"if len(row) != {len(columns)}: return None", f"{', '.join(variables)} = get(row)", "said = []"]
    for variable, column in zip(variables, columns, strict=True):
        lines += _source(variable, column, bounds(column), checks, scope)
    typed = ", ".join(f"{column.name!r}: {variable}" for variable, column in zip(variables, columns, strict=True))
    lines.append(f"return None if said else {{{typed}}}")
    body = "\n".join(f"        {line}" for line in lines)
    # Whatever goes wrong here goes wrong again on the careful way, which says what it is.
    source = f"def usual(row):\n    try:\n{body}\n    except Exception:\n        return None\n"
    exec(compile(source, "<usual row>", "exec"), scope)  # noqa: S102  of names by repr and numbers: nothing from outside
    usual: Usual = scope["usual"]
    return usual


def _source(
    variable: str, column: Column, bounds: Bounds | None, checks: Mapping[str, Check], scope: dict[str, Any]
) -> list[str]:
    """The lines that let a usual value of a column pass and return None for any other."""
    if column.categories:
        scope[f"known_{variable}"] = frozenset(column.categories)
        lines = [f"if {variable} not in known_{variable}: return None"]
    elif column.type == "bool" and column.semantic != "category":
        lines = [f"if {variable} is not True and {variable} is not False: return None"]
    elif bounds is not None:
        lines = _number(variable, column, bounds)
    elif column.type == "string":
        lines = [f"if type({variable}) is not str: return None"]
    else:
        scope[f"check_{variable}"] = checks[column.name]
        return [f"{variable} = check_{variable}({variable}, said)"]
    return [f"if {variable} is not None:", *(f"    {line}" for line in lines)] if column.nullable else lines


def _number(variable: str, column: Column, bounds: Bounds) -> list[str]:
    low, high = bounds
    if column.type.startswith(("int", "uint")):
        kind = [f"if type({variable}) is not int: return None"]
    else:
        kind = [
            f"if type({variable}) is not float:",
            f"    if type({variable}) is not int: return None",
            f"    {variable} = float({variable})",
        ]
    return [*kind, f"if not {low!r} <= {variable} <= {high!r}: return None"]
