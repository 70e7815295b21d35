"""Programs over one row, compiled to plain functions: the row checks of a contract without any table library.

A program is what `tidemill.data.row_programs` made of a Polars expression when the model was trained; compiled, it
gives what Polars gives for that row: None where the expression is null, NaN as the greatest number, integers that wrap.
"""

from __future__ import annotations

import math
import operator
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from tidemill.core.errors import UnsafeModelError
from tidemill.data.row_patterns import python_pattern

Row: TypeAlias = Mapping[str, Any]
Function: TypeAlias = Callable[[Row], Any]
Program: TypeAlias = Sequence[Any]

_SINGLE = struct.Struct("f")


def compile_program(program: Program) -> Function:
    """A function from one row of plain values to the value of a program.

    Raises
    ------
    UnsafeModelError
        If the program says what this version does not know.

    Examples
    --------
    >>> check = compile_program(["ge", ["column", "arr", "int"], ["value", 5, "int"], "plain"])
    >>> check({"arr": 7}), check({"arr": 4}), check({"arr": None})
    (True, False, None)
    """
    operation = program[0]
    if operation not in _OPERATIONS:
        raise UnsafeModelError("a check says what this Tidemill does not know", value=operation, hint="Upgrade it.")
    return _OPERATIONS[operation](program)


def _column(program: Program) -> Function:
    return operator.itemgetter(program[1])


def _value(program: Program) -> Function:
    constant = constant_of(program)
    return lambda _: constant


def constant_of(program: Program) -> Any:
    """The value of a program that is one: moments without a zone, in UTC."""
    _, value, kind = program
    if kind == "time":
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    if kind == "date":
        return date.fromisoformat(value)
    return Decimal(value) if kind == "decimal" else value


def _logic(program: Program) -> Function:
    """AND and OR of three values: null is unknown."""
    one, other = compile_program(program[1]), compile_program(program[2])
    decisive = program[0] == "or"

    def combined(row: Row) -> Any:
        left = one(row)
        if left is decisive:
            return decisive
        right = other(row)
        if right is decisive:
            return decisive
        return None if left is None or right is None else not decisive

    return combined


def _not(program: Program) -> Function:
    inner = compile_program(program[1])

    def inverted(row: Row) -> bool | None:
        value = inner(row)
        return None if value is None else not value

    return inverted


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip


def _compared(program: Program) -> Function:
    operation, first, second, mode = program
    compare = _by_mode(operation, mode)
    one, other = _as_compared(first, mode), _as_compared(second, mode)
    if first[0] == "column" and second[0] == "value" and second[1] is not None and (mode, first[2]) in _DIRECT:
        name, constant = first[1], other({})

        def against(row: Row) -> bool | None:
            value = row[name]
            return None if value is None else compare(value, constant)

        return against

    def compared(row: Row) -> bool | None:
        left, right = one(row), other(row)
        return None if left is None or right is None else compare(left, right)

    return compared


#: Columns whose values compare as they are.
_DIRECT = frozenset({("float", "float"), *(("plain", kind) for kind in ("int", "text", "bool", "date", "time"))})


def _as_compared(program: Program, mode: str) -> Function:
    """The value of a side, as a float where it is compared as one."""
    function = compile_program(program)
    if mode == "plain" or (mode == "float" and list(program[:1]) == ["column"] and program[2] == "float"):
        return function
    convert = _single if mode == "single" else float
    if program[0] == "value":
        constant = None if program[1] is None else convert(constant_of(program))
        return lambda _: constant
    return _of_known(function, convert)


def _same(program: Program) -> Function:
    equal, wanted = _by_mode("eq", program[3]), program[0] == "same"
    one, other = _as_compared(program[1], program[3]), _as_compared(program[2], program[3])

    def same(row: Row) -> bool:
        left, right = one(row), other(row)
        alike = left is right if left is None or right is None else equal(left, right)
        return alike is wanted

    return same


def _by_mode(operation: str, mode: str) -> Callable[[Any, Any], bool]:
    return _COMPARE[operation] if mode == "plain" else _WITH_NAN[operation]


#: A NaN is equal to itself and greater than every number.
_WITH_NAN: dict[str, Callable[[float, float], bool]] = {
    "eq": lambda one, other: one == other or (one != one and other != other),
    "ne": lambda one, other: not (one == other or (one != one and other != other)),
    "lt": lambda one, other: one < other or (other != other and one == one),
    "le": lambda one, other: one <= other or other != other,
    "gt": lambda one, other: one > other or (one != one and other == other),
    "ge": lambda one, other: one >= other or one != one,
}


def _single(number: Any) -> float:
    try:
        rounded: float = _SINGLE.unpack(_SINGLE.pack(float(number)))[0]
    except OverflowError:
        return math.copysign(math.inf, float(number))
    return rounded


def _divided(left: float, right: float) -> float:
    if right:
        return left / right
    return math.nan if left == 0 or left != left else math.copysign(math.inf, left) * math.copysign(1.0, right)


def _remainder(left: Any, right: Any) -> Any:
    """What is left of a division that rounds towards zero."""
    if isinstance(left, float):
        return math.nan if not right or math.isinf(left) else math.fmod(left, right)
    rest = abs(left) % abs(right)
    return rest if left >= 0 else -rest


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": _divided, "rem": _remainder,
}  # fmt: skip


def _arithmetic(program: Program) -> Function:
    name, first, second, result = program
    compute, one, other = _ARITHMETIC[name], compile_program(first), compile_program(second)
    if result == "float":

        def floating(row: Row) -> float | None:
            left, right = one(row), other(row)
            return None if left is None or right is None else compute(float(left), float(right))

        return floating
    wrap = _wrapped(result)

    def whole(row: Row) -> int | None:
        left, right = one(row), other(row)
        if left is None or right is None or (name == "rem" and not right):
            return None
        return wrap(compute(left, right))

    return whole


def _wrapped(bits: int) -> Callable[[int], int]:
    """How integers of so many bits overflow; signed ones if `bits` is negative."""
    size = 1 << abs(bits)
    if bits > 0:
        return lambda number: number % size
    half = size >> 1
    return lambda number: (number + half) % size - half


def _absolute(program: Program) -> Function:
    inner, result = compile_program(program[1]), program[2]
    finish: Callable[[Any], Any] = abs
    if result != "float":
        wrap = _wrapped(result)

        def finish(number: Any) -> Any:
            return wrap(abs(number))

    return _of_known(inner, finish)


def _of_known(inner: Function, compute: Callable[[Any], Any]) -> Function:
    def computed(row: Row) -> Any:
        value = inner(row)
        return None if value is None else compute(value)

    return computed


def _simple(compute: Callable[[Any], Any]) -> Callable[[Program], Function]:
    return lambda program: _of_known(compile_program(program[1]), compute)


def _missing(program: Program) -> Function:
    inner = compile_program(program[1])
    return lambda row: inner(row) is None


def _member(program: Program) -> Function:
    constants = [constant_of(value) for value in program[2]]
    members = frozenset(float(item) if isinstance(item, Decimal) else item for item in constants)
    return _of_known(compile_program(program[1]), members.__contains__)


def _matches(program: Program) -> Function:
    search = re.compile(python_pattern(program[2])).search
    return _of_known(compile_program(program[1]), lambda text: search(text) is not None)


def _textual(test: Callable[[str, str], bool]) -> Callable[[Program], Function]:
    def made(program: Program) -> Function:
        wanted = program[2]
        if wanted is None:
            return lambda _: None
        return _of_known(compile_program(program[1]), lambda text: test(text, wanted))

    return made


def _chosen(program: Program) -> Function:
    predicate, truthy, falsy = (compile_program(part) for part in program[1:4])
    return lambda row: truthy(row) if predicate(row) else falsy(row)


def _first(program: Program) -> Function:
    parts = [compile_program(part) for part in program[1:]]

    def first(row: Row) -> Any:
        for part in parts:
            value = part(row)
            if value is not None:
                return value
        return None

    return first


_OPERATIONS: dict[str, Callable[[Program], Function]] = {
    "column": _column, "value": _value, "and": _logic, "or": _logic, "not": _not, "same": _same, "differ": _same,
    **dict.fromkeys(_COMPARE, _compared), **dict.fromkeys(_ARITHMETIC, _arithmetic), "abs": _absolute,
    "missing": _missing, "nan": _simple(lambda number: number != number), "in": _member, "matches": _matches,
    "holds": _textual(lambda text, part: part in text), "starts": _textual(str.startswith),
    "ends": _textual(str.endswith), "length": _simple(len), "lower": _simple(str.lower), "upper": _simple(str.upper),
    "float": _simple(float), "text": _simple(str), "if": _chosen, "coalesce": _first,
}  # fmt: skip
