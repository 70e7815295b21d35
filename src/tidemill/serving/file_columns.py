"""What the columns of a file of rows are: inputs, known answers, whom the rows are about, or of no use here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

import polars as pl

from tidemill.core.errors import InvalidRequestError
from tidemill.core.model import Signature
from tidemill.project.settings import nearest


def is_input(name: str, signature: Signature) -> bool:
    """Whether a model takes the column."""
    return name in signature.inputs.names


def is_answer(name: str, signature: Signature) -> bool:
    """Whether it is the column that is predicted, with the answers that are known."""
    return name == signature.target and not is_input(name, signature)


def columns_aside(names: Sequence[str], signature: Signature, entity: str | None = None) -> list[str]:
    """What a table has that is of no use, where it has all inputs; `entity` is of use.

    Raises
    ------
    InvalidRequestError
        For a table that has no input, or lacks one and has something else, which may be it.
    """
    inputs = signature.inputs.names
    lacking = [name for name in inputs if name not in names]
    aside = [name for name in names if name not in inputs and name != entity and not is_answer(name, signature)]
    if inputs and len(lacking) == len(inputs):
        hint = f"Inputs: {', '.join(inputs)}; cells of a CSV file are separated by commas."
        what = "no column of the file is an input of the model"
        raise InvalidRequestError(what, value=", ".join(names)[:200], hint=hint[:1000])
    if lacking and aside:
        near = get_close_matches(lacking[0], aside, n=1)
        others = ", ".join(aside[:5]) + (", …" if len(aside) > 5 else "")
        hint = f"Other columns ({others}) are left aside only where none is missing: add it, with or without values."
        if near:
            hint = f"Is it {near[0]!r}, misspelt? Else add it, with or without values."
        raise InvalidRequestError("an input of the model is not in the file", value=lacking[0], hint=hint)
    return aside


def require_entity(name: str | None, names: Iterable[str]) -> None:
    """Refuse a column of entities that a file does not have; it names the nearest that it has."""
    known = list(names)
    if name is not None and name not in known:
        hint = nearest(name, known)[:500]
        raise InvalidRequestError("the file has no such column of entities", value=name[:200], hint=hint)


def entities_of(column: pl.Series) -> pl.Series:
    """The keys of a column as the log has them, as text.

    Raises
    ------
    InvalidRequestError
        For one of another type, whose text is not certain: ``17.0`` would not be found under ``17``.

    Examples
    --------
    >>> entities_of(pl.Series("order", [17, None])).to_list()
    ['17', None]
    """
    kind = column.dtype
    if not (kind.is_integer() or kind in (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        _refuse(f"the column {column.name!r} of entities is neither text nor whole numbers", str(kind))
    return column.cast(pl.String)


def entity_of(row: Any, name: str, line: int) -> str | None:
    """The key of a row of JSON; none where it says none.

    >>> entity_of({"order": 17, "queue": 3}, "order", 1)
    '17'
    """
    value = row.get(name) if isinstance(row, dict) else None
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        _refuse(f"line {line} of the NDJSON file has an entity that is neither text nor whole number", value)
    return None if value is None else str(value)


def _refuse(what: str, value: Any) -> NoReturn:
    hint = "Write keys as text, by which labels and erasures find them; in pandas: .astype('Int64').astype('string')."
    raise InvalidRequestError(what, value=value, hint=hint)
