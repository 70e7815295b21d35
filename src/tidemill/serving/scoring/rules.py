"""The row checks of a model's contract by whole columns: which rows may break one.

A program (`tidemill.data.row_functions`) becomes an expression again, over the values that the row validator would
give it. A row that breaks a rule, or of which that is not sure, goes to the row validator, which has the words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.schema import Column, TableSchema
from tidemill.data.row_functions import constant_of

Program = Sequence[Any]
#: From rows as they were sent and as they were typed to which of them may break a rule.
Rules = Callable[[pl.DataFrame, pl.DataFrame], NDArray[np.bool_]]

_FLAGS = {"true": True, "false": False}
_WHOLE = {-8: pl.Int8, -16: pl.Int16, -32: pl.Int32, 8: pl.UInt8, 16: pl.UInt16, 32: pl.UInt32}
#: Below this a float that is no whole number stays on its side of every whole number.
_HALVES = 1 << 48
_FALSE = pl.lit(False)  # noqa: FBT003 (a literal of Polars)


class _UnknownError(Exception):
    """A program that no expression says the same as: it never leaves this module."""


def compile_rules(contract: Mapping[str, Any], inputs: TableSchema) -> Rules | None:
    """A function that finds the rows which may break a contract; None if some rule is only known row by row.

    Parameters
    ----------
    contract
        As `tidemill.data.request_contract` made it.
    inputs
        The columns of the signature.

    Examples
    --------
    >>> program = ["gt", ["column", "wind", "float"], ["value", 200, "int"], "float"]
    >>> contract = {"checks": [{"rule": "wind > 200", "columns": ["wind"], "severity": "fail", "program": program}]}
    >>> table = pl.DataFrame({"wind": [10.0, 1048.0, None]})
    >>> compile_rules(contract, TableSchema((Column("wind", "float64"),)))(table, table).tolist()
    [False, True, False]
    """
    rules = contract.get("checks", ())
    try:
        broken = [_of(rule["program"]).fill_null(_FALSE) for rule in rules]
    except (_UnknownError, OverflowError):
        return None
    if not broken:
        return lambda sent, _: np.zeros(sent.height, dtype=bool)
    used = {name for rule in rules for name in rule["columns"]}
    columns = [column for column in inputs if column.name in used]
    worded = {name for rule in rules if _is_worded(rule["program"]) for name in rule["columns"]}

    def suspicious(sent: pl.DataFrame, typed: pl.DataFrame) -> NDArray[np.bool_]:
        read = [_read(column, sent[column.name], typed[column.name]) for column in columns]
        if any(values is None for values, _ in read):
            return np.ones(sent.height, dtype=bool)
        values = typed.select(value.alias(column.name) for column, (value, _) in zip(columns, read, strict=True))
        unsure = np.logical_or.reduce([mask for _, mask in read], initial=False)
        texts = [pl.col(name) for name in worded if typed.schema[name] == pl.String]
        if texts:
            wide = [(text.str.len_bytes() != text.str.len_chars()).fill_null(_FALSE) for text in texts]
            unsure = unsure | typed.select(pl.any_horizontal(wide)).to_series().to_numpy()
        try:
            found = values.select(pl.any_horizontal(broken)).to_series().to_numpy()
        except pl.exceptions.PolarsError:  # whatever it is, the row validator will say
            return np.ones(sent.height, dtype=bool)
        return np.broadcast_to(unsure | found, sent.height)  # rules without a column are one value for all

    return suspicious


def _is_worded(program: Any) -> bool:
    """Whether it asks what is a letter, which two languages know from two editions of Unicode beyond ASCII."""
    if not isinstance(program, Sequence) or isinstance(program, str) or not program:
        return False
    return program[0] in ("matches", "lower", "upper") or any(map(_is_worded, program))


def _read(column: Column, sent: pl.Series, typed: pl.Series) -> tuple[Any, Any]:
    """The values that the training table would hold, and of which rows that is not sure."""
    value, kind = pl.col(column.name), column.type
    if typed.dtype == pl.String and kind.startswith(("int", "uint", "float", "bool")):
        if kind == "bool":
            return value.str.to_lowercase().replace_strict(_FLAGS, default=None, return_dtype=pl.Boolean), False
        made = value.cast(pl.Float64 if kind.startswith("float") else pl.Int64, strict=False)
        lost = (typed.to_frame().select(made.is_null() & value.is_not_null())).to_series().to_numpy()
        missing = sent.is_nan().fill_null(value=False).to_numpy() if sent.dtype.is_float() else False
        return made, lost | missing  # a NaN is typed as missing, and is one in the table
    if kind.startswith(("int", "uint")):
        return value.cast(pl.Int64, strict=False), False
    if kind == "date":
        of_zone = isinstance(sent.dtype, pl.Datetime) and sent.dtype.time_zone is not None
        return None if of_zone else value.cast(pl.Date), False  # the day is that of the zone
    if kind.startswith("timestamp["):
        moment = value.dt.replace_time_zone(None)
        return moment.dt.truncate("1ms") if kind.startswith("timestamp[ms") else moment, False
    return value, False


def _of(program: Program) -> pl.Expr:
    if program[0] not in _OPERATIONS:
        raise _UnknownError(program[0])
    return _OPERATIONS[program[0]](program)


def _constant(program: Program) -> Any:
    """The value as `tidemill.data.row_functions` compares it, held in what columns are held in."""
    value = None if program[1] is None else constant_of(program)
    return float(value) if isinstance(value, Decimal) else value


def _value(program: Program) -> pl.Expr:
    value = _constant(program)
    kinds: dict[type, Any] = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64, str: pl.String}
    return pl.lit(value, dtype=pl.Datetime("us") if type(value) is datetime else kinds.get(type(value)))


def _sides(program: Program, mode: str) -> tuple[pl.Expr, pl.Expr]:
    if mode == "plain":
        return _exact(program[1]), _exact(program[2])
    one, other = _of(program[1]), _of(program[2])
    kind = pl.Float32 if mode == "single" else pl.Float64
    return one.cast(kind), other.cast(kind)


def _exact(program: Program) -> pl.Expr:
    """A side that is compared with whole numbers as it is."""
    if program[0] != "value" or program[2] != "decimal":
        return _of(program)
    exact = Decimal(program[1])
    if exact == int(exact):
        return pl.lit(int(exact), dtype=pl.Int64)
    if Decimal(float(exact)) != exact and abs(exact) > _HALVES:  # a float is next to another whole number there
        raise _UnknownError(program[1])
    return pl.lit(float(exact), dtype=pl.Float64)


def _compared(program: Program) -> pl.Expr:
    compare: Callable[[pl.Expr, pl.Expr], pl.Expr] = getattr(pl.Expr, _COMPARE[program[0]])
    return compare(*_sides(program, program[3]))


_COMPARE = {
    "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "same": "eq_missing",
    "differ": "ne_missing",
}  # fmt: skip


def _logic(program: Program) -> pl.Expr:
    one, other = (_of(part).cast(pl.Boolean) for part in program[1:3])
    return one & other if program[0] == "and" else one | other


def _wrapped(number: pl.Expr, bits: int) -> pl.Expr:
    """Integers of so many bits overflow as they do in a table; all are held in 64."""
    if bits == -64:
        return number
    if bits not in _WHOLE:
        raise _UnknownError(bits)
    return number.cast(_WHOLE[bits], wrap_numerical=True).cast(pl.Int64)


def _arithmetic(program: Program) -> pl.Expr:
    name, _, _, result = program
    one, other = _sides(program, "float" if result == "float" else "plain")
    made: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
        "add": pl.Expr.__add__, "sub": pl.Expr.__sub__, "mul": pl.Expr.__mul__, "div": pl.Expr.__truediv__,
    }  # fmt: skip
    if name not in made:
        raise _UnknownError(name)
    return made[name](one, other) if result == "float" else _wrapped(made[name](one, other), result)


def _absolute(program: Program) -> pl.Expr:
    inner = _of(program[1])
    return inner.abs() if program[2] == "float" else _wrapped(inner.abs(), program[2])


def _member(program: Program) -> pl.Expr:
    values, inner = [_constant(value) for value in program[2]], _of(program[1])
    if any(isinstance(value, float) for value in values):
        values, inner = [float(value) for value in values], inner.cast(pl.Float64)
    return inner.is_in(values)


def _textual(test: Callable[[pl.Expr, str], pl.Expr]) -> Callable[[Program], pl.Expr]:
    def made(program: Program) -> pl.Expr:
        wanted = program[2]
        return pl.lit(None, dtype=pl.Boolean) if wanted is None else test(_of(program[1]).cast(pl.String), wanted)

    return made


def _chosen(program: Program) -> pl.Expr:
    predicate, truthy, falsy = (_of(part) for part in program[1:4])
    return pl.when(predicate.cast(pl.Boolean)).then(truthy).otherwise(falsy)


_OPERATIONS: dict[str, Callable[[Program], pl.Expr]] = {
    "column": lambda program: pl.col(program[1]), "value": _value, "and": _logic, "or": _logic,
    "not": lambda program: ~_of(program[1]).cast(pl.Boolean), **dict.fromkeys(_COMPARE, _compared),
    **dict.fromkeys(("add", "sub", "mul", "div", "rem"), _arithmetic), "abs": _absolute,
    "missing": lambda program: _of(program[1]).is_null(),
    "nan": lambda program: _of(program[1]).cast(pl.Float64).is_nan(), "in": _member,
    "matches": _textual(lambda text, pattern: text.str.contains(pattern)),
    "holds": _textual(lambda text, part: text.str.contains(part, literal=True)),
    "starts": _textual(lambda text, part: text.str.starts_with(part)),
    "ends": _textual(lambda text, part: text.str.ends_with(part)),
    "length": lambda program: _of(program[1]).str.len_chars().cast(pl.Int64),
    "lower": lambda program: _of(program[1]).str.to_lowercase(),
    "upper": lambda program: _of(program[1]).str.to_uppercase(),
    "float": lambda program: _of(program[1]).cast(pl.Float64),
    "text": lambda program: _of(program[1]).cast(pl.String), "if": _chosen,
    "coalesce": lambda program: pl.coalesce([_of(part) for part in program[1:]]),
}  # fmt: skip
