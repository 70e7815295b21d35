"""How much one request may ask for."""

from __future__ import annotations

from dataclasses import replace

from tidemill.core.errors import InvalidRequestError
from tidemill.packaging.validator import Problem

#: Rows of a request that brings them as JSON or as tensors; three bytes may be a row, and its answer is many more.
MAX_ROWS = 100_000
#: So many refused rows of a request are told of in full, the others by what is wrong with their first column.
_TOLD_IN_FULL = 100


class TooManyRowsError(InvalidRequestError):
    """A request of more rows than one may have."""


def require_few(rows: int) -> None:
    """Raise TooManyRowsError for more rows than a request may have."""
    if rows > MAX_ROWS:
        hint = f"Send at most {MAX_ROWS:,} at once, or a file of them."
        raise TooManyRowsError("the request has too many rows", value=f"{rows:,}", hint=hint)


def brief(problem: Problem, before: int) -> Problem:
    """The problem as it is told after so many others of the same request.

    >>> problem = Problem(0, "x", "'a'", "it takes a number", "float64", (Problem(0, "z", "1", "it takes text"),))
    >>> brief(problem, 99) == problem, brief(problem, 100)
    (True, Problem(row=0, column='x', value="'a'", error='it takes a number', allowed='', others=()))
    """
    return problem if before < _TOLD_IN_FULL else replace(problem, allowed="", others=())
