"""From a Polars expression over one row to a program: plain nested lists that serving compiles without Polars.

A program is ``["column", NAME, KIND]``, ``["value", VALUE, KIND]`` or ``[OPERATION, *programs, *options]``; what it may
say is what `tidemill.data.row_functions` carries out. Every expression that means the same for one row as for many
has one; another is an error that says which part of it has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

import polars as pl

from tidemill.core.errors import ConfigError
from tidemill.data.row_patterns import python_pattern

#: JSON-able: see the module.
Program: TypeAlias = list[Any]

_COMPARED = {"Eq": "eq", "NotEq": "ne", "Lt": "lt", "LtEq": "le", "Gt": "gt", "GtEq": "ge"}
_ARITHMETIC = {
    "Plus": "add",
    "Minus": "sub",
    "Multiply": "mul",
    "Mul": "mul",
    "Div": "div",
    "TrueDivide": "div",
    "Rem": "rem",
}
_LOGIC = {"And": "and", "Or": "or", "LogicalAnd": "and", "LogicalOr": "or"}
_INTEGERS: dict[type[pl.DataType], int] = {
    pl.Int8: -8, pl.Int16: -16, pl.Int32: -32, pl.Int64: -64,
    pl.UInt8: 8, pl.UInt16: 16, pl.UInt32: 32, pl.UInt64: 64,
}  # fmt: skip


def row_program(expression: pl.Expr, schema: Mapping[str, pl.DataType]) -> Program:
    """The program of an expression over rows of this schema.

    Raises
    ------
    ConfigError
        If a part of the expression needs other rows, or has no counterpart outside Polars; the value is that part.

    Examples
    --------
    >>> row_program(pl.sql_expr("arr >= dep"), {"arr": pl.Int64(), "dep": pl.Int64()})
    ['ge', ['column', 'arr', 'int'], ['column', 'dep', 'int'], 'plain']
    """
    used = {name: schema[name] for name in expression.meta.root_names() if name in schema}
    return _Translation(used).of(json.loads(expression.meta.serialize(format="json")))


class _Translation:
    """One expression's translation: the schema decides what an operation means."""

    def __init__(self, schema: Mapping[str, pl.DataType]) -> None:
        self.schema = dict(schema)

    def of(self, node: Any) -> Program:
        if isinstance(node, dict) and len(node) == 1:
            ((tag, body),) = node.items()
            if tag == "Column" and body in self.schema:
                return ["column", body, _kind(self.schema[body], body)]
            if tag == "Literal" or (tag in _NODES and not _names(node)):
                return self._constant(node)
            if tag in _NODES:
                return _NODES[tag](self, body)
        raise _untranslatable(node)

    def dtype(self, node: Any) -> pl.DataType:
        try:
            return pl.LazyFrame(schema=self.schema).select(_expression(node).alias("value")).collect_schema()["value"]
        except pl.exceptions.PolarsError as error:
            raise ConfigError(f"an expression does not fit the columns: {str(error).splitlines()[0]}") from error

    def _constant(self, node: Any) -> Program:
        value = pl.select(_expression(node).alias("value"))["value"]
        if len(value) != 1:
            raise _untranslatable(node)
        return _value(value[0], node)

    def binary(self, body: Mapping[str, Any]) -> Program:
        return self.operation(body["op"], body["left"], body["right"], {"BinaryExpr": body})

    def operation(self, name: str, left: Any, right: Any, node: Any) -> Program:
        if name in _LOGIC:
            one, other = self.of(left), self.of(right)
            _require(node, _is_flag(one), _is_flag(other))
            return [_LOGIC[name], one, other]
        if name in _COMPARED:
            one, other = self.of(left), self.of(right)
            return [_COMPARED[name], one, other, self._comparison(one, other, node)]
        if name in ("EqValidity", "NotEqValidity"):
            one, other = self.of(left), self.of(right)
            return ["same" if name == "EqValidity" else "differ", one, other, self._comparison(one, other, node)]
        if name in _ARITHMETIC:
            return self._arithmetic(_ARITHMETIC[name], left, right, node)
        raise _untranslatable(node)

    def _comparison(self, one: Program, other: Program, node: Any) -> str:
        """How two sides compare: as they are, as floats whose NaN is the greatest, or as single precision."""
        kinds = {_kind_of(one), _kind_of(other)} - {"null"}
        if kinds <= {"float32"} or (
            "float32" in kinds and kinds <= {"float32", "float", "int", "decimal"} and "value" in (one[0], other[0])
        ):
            return "single" if kinds else "plain"
        if kinds <= {"float", "int", "decimal"} and "float" in kinds:
            return "float"
        if kinds <= {"int", "decimal"} or (len(kinds) == 1 and kinds <= {"text", "bool", "date", "time"}):
            return "plain"
        raise _untranslatable(node)

    def _arithmetic(self, name: str, left: Any, right: Any, node: Any) -> Program:
        one, other, dtype = self.of(left), self.of(right), self.dtype(node)
        numbers = {"int", "float", "decimal"}
        _require(node, _kind_of(one) in numbers, _kind_of(other) in numbers)
        if dtype == pl.Float64:
            return [name, one, other, "float"]
        _require(node, dtype.base_type() in _INTEGERS, name != "div", _kind_of(one) == "int" == _kind_of(other))
        return [name, one, other, _INTEGERS[dtype.base_type()]]

    def ternary(self, body: Mapping[str, Any]) -> Program:
        predicate, truthy, falsy = (self.of(body[part]) for part in ("predicate", "truthy", "falsy"))
        return ["if", predicate, *self._alike((truthy, falsy), {"Ternary": body})]

    def cast(self, body: Mapping[str, Any]) -> Program:
        inner, wanted = self.of(body["expr"]), self.dtype({"Cast": body})
        kind = _kind_of(inner)
        if wanted == pl.Boolean and _is_flag(inner):
            return inner
        if wanted == pl.Float64 and kind in ("int", "float"):
            return ["float", inner]
        if wanted == pl.String and kind in ("int", "text"):
            return ["text", inner]
        raise _untranslatable({"Cast": body})

    def function(self, body: Mapping[str, Any]) -> Program:
        name, option = _named(body["function"])
        inputs, node = body["input"], {"Function": body}
        if name in _FUNCTIONS:
            return _FUNCTIONS[name](self, inputs, option, node)
        raise _untranslatable(node)

    def _alike(self, parts: tuple[Program, ...], node: Any) -> tuple[Program, ...]:
        """Parts of one kind; other numbers among floats are floats."""
        kinds = {_kind_of(part) for part in parts} - {"null"}
        if "float" in kinds and kinds <= {"int", "float", "decimal"}:
            return tuple(["float", part] if _kind_of(part) in ("int", "decimal") else part for part in parts)
        _require(node, len(kinds) <= 1)
        return parts

    def sql(self, inputs: list[Any], option: Any, node: Any) -> Program:
        return self.operation(option, inputs[0], inputs[1], node)

    def flag(self, name: str, inputs: list[Any]) -> Program:
        return [name, self.of(inputs[0])]

    def inverse(self, inputs: list[Any], option: Any, node: Any) -> Program:
        inner = self.of(inputs[0])
        _require(node, _is_flag(inner))
        return ["not", inner]

    def member(self, inputs: list[Any], option: Any, node: Any) -> Program:
        inner, given = self.of(inputs[0]), pl.select(_expression(inputs[1]).alias("values"))["values"]
        listed = given.explode() if given.dtype == pl.List else given
        values = [_value(value, node) for value in listed.to_list()]
        for value in values:
            self._comparison(inner, value, node)
        single = any("float32" in _kind_of(part) for part in (inner, *values))
        _require(node, not single, all(value[1] is not None and value[1] == value[1] for value in values))
        return ["in", inner, values]

    def text_with(self, name: str) -> Callable[[list[Any], Any, Any], Program]:
        def made(inputs: list[Any], option: Any, node: Any) -> Program:
            inner, other = self.of(inputs[0]), self.of(inputs[1])
            _require(node, _kind_of(inner) == "text", other[0] == "value", other[2] == "text")
            if name == "matches":
                if option["literal"]:
                    return ["holds", inner, other[1]]
                python_pattern(other[1])  # what it cannot say is an error now and not on the first request
            return [name, inner, other[1]]

        return made

    def text_of(self, name: str, inputs: list[Any], node: Any) -> Program:
        inner = self.of(inputs[0])
        _require(node, _kind_of(inner) == "text")
        return [name, inner]

    def absolute(self, inputs: list[Any], option: Any, node: Any) -> Program:
        inner, dtype = self.of(inputs[0]), self.dtype(node)
        _require(node, dtype == pl.Float64 or dtype.base_type() in _INTEGERS)
        return ["abs", inner, "float" if dtype == pl.Float64 else _INTEGERS[dtype.base_type()]]

    def coalesce(self, inputs: list[Any], option: Any, node: Any) -> Program:
        return ["coalesce", *self._alike(tuple(self.of(item) for item in inputs), node)]


_NODES: dict[str, Callable[[_Translation, Any], Program]] = {
    "BinaryExpr": _Translation.binary,
    "Function": _Translation.function,
    "Ternary": _Translation.ternary,
    "Cast": _Translation.cast,
    "Alias": lambda translation, body: translation.of(body[0]),
}
_FUNCTIONS: dict[str, Callable[[_Translation, list[Any], Any, Any], Program]] = {
    "Sql.Binary": _Translation.sql,
    "Sql.IsIn": _Translation.member,
    "Boolean.IsIn": _Translation.member,
    "Boolean.Not": _Translation.inverse,
    "Boolean.IsNull": lambda t, inputs, *_: t.flag("missing", inputs),
    "Boolean.IsNotNull": lambda t, inputs, *_: ["not", t.flag("missing", inputs)],
    "Boolean.IsNan": lambda t, inputs, *_: t.flag("nan", inputs),
    "Boolean.IsNotNan": lambda t, inputs, *_: ["not", t.flag("nan", inputs)],
    "StringExpr.Contains": lambda t, *rest: t.text_with("matches")(*rest),
    "StringExpr.StartsWith": lambda t, *rest: t.text_with("starts")(*rest),
    "StringExpr.EndsWith": lambda t, *rest: t.text_with("ends")(*rest),
    "StringExpr.LenChars": lambda t, inputs, _, node: t.text_of("length", inputs, node),
    "StringExpr.Lowercase": lambda t, inputs, _, node: t.text_of("lower", inputs, node),
    "StringExpr.Uppercase": lambda t, inputs, _, node: t.text_of("upper", inputs, node),
    "Abs": _Translation.absolute,
    "Coalesce": _Translation.coalesce,
}


def _named(function: Any) -> tuple[str, Any]:
    """``{"Boolean": {"IsIn": {…}}}`` as ``("Boolean.IsIn", {…})``."""
    if isinstance(function, str):
        return function, None
    ((room, inner),) = function.items()
    if isinstance(inner, str):
        return f"{room}.{inner}", None
    if isinstance(inner, Mapping) and len(inner) == 1:
        ((name, option),) = inner.items()
        return f"{room}.{name}", option
    return room, inner


def _names(node: Any) -> bool:
    """Whether a column is named somewhere in it."""
    if isinstance(node, Mapping):
        return any(key == "Column" or _names(item) for key, item in node.items())
    return isinstance(node, list) and any(_names(item) for item in node)


def _expression(node: Any) -> pl.Expr:
    return pl.Expr.deserialize(json.dumps(node).encode(), format="json")


def _kind(dtype: pl.DataType, column: str) -> str:
    """The kind of a column's values."""
    base = dtype.base_type()
    if base in _INTEGERS:
        return "int"
    kinds = {
        pl.Float64: "float", pl.Float32: "float32", pl.Boolean: "bool", pl.String: "text", pl.Categorical: "text",
        pl.Enum: "text", pl.Date: "date", pl.Datetime: "time",
    }  # fmt: skip
    if base not in kinds:
        raise ConfigError(f"column {column!r} is of a type that has no check on single rows", value=str(dtype))
    return kinds[base]


def _value(value: Any, node: Any) -> Program:
    if value is None:
        return ["value", None, "null"]
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "text")):
        if isinstance(value, kind):
            return ["value", value, name]
    if isinstance(value, Decimal):
        return ["value", str(value), "decimal"]
    if isinstance(value, datetime):
        return ["value", value.isoformat(), "time"]
    if isinstance(value, date):
        return ["value", value.isoformat(), "date"]
    raise _untranslatable(node)


_RESULTS = {"lower": "text", "upper": "text", "text": "text", "length": "int", "float": "float"}


def _kind_of(program: Program) -> str:
    """What a program gives."""
    operation = program[0]
    if operation in ("column", "value"):
        return str(program[2])
    if operation in ("add", "sub", "mul", "div", "rem", "abs"):
        return "float" if program[-1] == "float" else "int"
    if operation in ("if", "coalesce"):
        kinds = [_kind_of(part) for part in program[2 if operation == "if" else 1 :]]
        return next((kind for kind in kinds if kind != "null"), "null")
    return _RESULTS.get(operation, "bool")


def _is_flag(program: Program) -> bool:
    return _kind_of(program) in ("bool", "null")


def _require(node: Any, *conditions: bool) -> None:
    if not all(conditions):
        raise _untranslatable(node)


def _untranslatable(node: Any) -> ConfigError:
    try:
        shown: Any = str(_expression(node))
    except (pl.exceptions.PolarsError, ValueError, TypeError):
        shown = node
    return ConfigError(
        "this part of an expression cannot be checked on single rows", value=shown,
        hint="Comparisons, AND, OR, NOT, IN, BETWEEN, IS NULL, CASE, + - * /, LIKE, LENGTH, LOWER, UPPER, ABS, "
        "COALESCE and regular expressions can.",
    )  # fmt: skip
