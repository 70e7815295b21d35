"""Many usual rows, recognised column by column: what `usual_rows` does for one row, without a call for each.

A column of a thousand numbers is judged by its set of types and two comparisons of an array. Rows with anything that is
not known to be in order are named, and go the careful way one by one, so there is one meaning and one wording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from tidemill.core.model import Signature
from tidemill.core.schema import Column
from tidemill.packaging.usual_rows import Bounds, Check

#: The columns of rows, typed, in the signature's order; the same as they are encoded best, numbers in arrays where NaN
#: stands for None; and the places of rows that the careful checks must look at, whose values mean nothing.
UsualColumns = Callable[[Sequence[Any]], tuple[list[Sequence[Any]], list[Any], set[int]]]
#: A column's values, typed; the same as they are encoded best; and the places of those that are not usual.
_Judged = tuple[Sequence[Any], Any, Iterable[int]]
_Judge = Callable[[Sequence[Any]], _Judged]

#: For fewer rows, to begin with a column costs more than the rows do.
_MANY = 16
_NONE = type(None)


def compile_usual_columns(
    signature: Signature, bounds: Callable[[Column], Bounds | None], checks: Mapping[str, Check]
) -> UsualColumns:
    """A function that recognises the usual ones of many rows; of a few rows, or one column, it knows none.

    Parameters
    ----------
    signature, bounds, checks
        As for `compile_usual`.

    Examples
    --------
    >>> from tidemill.core.schema import TableSchema
    >>> columns = (Column("dest", "string", categories=("IAH", "MIA")), Column("distance", "float64"))
    >>> usual = compile_usual_columns(Signature(TableSchema(columns), "regression", "delay"), lambda _: (0.0, 3e3), {})
    >>> rows = [{"distance": 1089, "dest": "MIA"}, {"distance": 9e3, "dest": "MIA"}, {"distance": 5.0, "dest": "IAH"}]
    >>> columns, _, odd = usual(rows * 6)
    >>> [column[:3] for column in columns], sorted(odd)
    ([('MIA', 'MIA', 'IAH'), [1089.0, 9000.0, 5.0]], [1, 4, 7, 10, 13, 16])
    """
    names = signature.inputs.names
    if len(names) < 2:  # `itemgetter` gives no tuple then
        return lambda rows: none_usual(rows, len(names))
    get, judges = itemgetter(*names), [_judge(column, bounds(column), checks) for column in signature.inputs]

    def usual(rows: Sequence[Any]) -> tuple[list[Sequence[Any]], list[Any], set[int]]:
        table, odd = _table(rows, get, len(names)) if len(rows) >= _MANY else ([], set())
        if not table:
            return none_usual(rows, len(names))
        judged = [judge(values) for judge, values in zip(judges, zip(*table, strict=True), strict=True)]
        odd.update(*(places for _, _, places in judged))
        return [typed for typed, _, _ in judged], [encodable for _, encodable, _ in judged], odd

    return usual


def none_usual(rows: Sequence[Any], width: int) -> tuple[list[Sequence[Any]], list[Any], set[int]]:
    """What is said of rows that are not known to be usual, none of them."""
    return [[None] * len(rows) for _ in range(width)], [()] * width, set(range(len(rows)))


def _table(rows: Sequence[Any], get: Callable[[Any], tuple[Any, ...]], width: int) -> tuple[list[Any], set[int]]:
    """The values of rows that have every column and no other; another row's in the place of those that have not."""
    if set(map(type, rows)) == {dict} and set(map(len, rows)) == {width}:
        try:
            return list(map(get, rows)), set()
        except KeyError:
            pass
    table: list[Any] = []
    odd: set[int] = set()
    for place, row in enumerate(rows):
        try:
            fits = type(row) is dict and len(row) == width
            table.append(get(row) if fits else None)
        except KeyError:
            table.append(None)
        if table[-1] is None:
            odd.add(place)
    filler = next((values for values in table if values is not None), None)
    return ([] if filler is None else [filler if values is None else values for values in table]), odd


def _judge(column: Column, bounds: Bounds | None, checks: Mapping[str, Check]) -> _Judge:
    if column.categories:
        return _of_known({*column.categories, None} if column.nullable else {*column.categories})
    if column.type == "bool" and column.semantic != "category":
        return _of_types(column, {bool})
    if bounds is not None:
        return _whole_numbers(column, bounds) if column.type.startswith(("int", "uint")) else _numbers(column, bounds)
    if column.type == "string":
        return _of_types(column, {str})
    return _checked(checks[column.name])


def _of_known(known: set[Any]) -> _Judge:
    def judge(values: Sequence[Any]) -> _Judged:
        try:
            if set(values) <= known:
                return values, values, ()
            return values, values, [place for place, value in enumerate(values) if value not in known]
        except TypeError:  # a list or a mapping among them
            return values, values, range(len(values))

    return judge


def _types(column: Column, kinds: set[type]) -> set[type]:
    return {*kinds, _NONE} if column.nullable else kinds


def _of_types(column: Column, kinds: set[type]) -> _Judge:
    allowed = _types(column, kinds)

    def judge(values: Sequence[Any]) -> _Judged:
        if set(map(type, values)) <= allowed:
            return values, values, ()
        return values, values, [place for place, value in enumerate(values) if type(value) not in allowed]

    return judge


def _whole_numbers(column: Column, bounds: Bounds) -> _Judge:
    allowed, (low, high) = _types(column, {int}), bounds

    def judge(values: Sequence[Any]) -> _Judged:
        if set(map(type, values)) <= {int} and low <= min(values) and max(values) <= high:
            return values, values, ()
        odd = [
            place
            for place, value in enumerate(values)
            if type(value) not in allowed or (value is not None and not low <= value <= high)
        ]
        return values, values, odd

    return judge


def _numbers(column: Column, bounds: Bounds) -> _Judge:
    allowed, (low, high) = _types(column, {float, int}), bounds

    def judge(values: Sequence[Any]) -> _Judged:
        kinds, odd = set(map(type, values)), []
        if not kinds <= allowed:
            odd = [place for place, value in enumerate(values) if type(value) not in allowed]
            values = [value if type(value) in allowed else 0.0 for value in values]
        try:
            array = np.array(values, dtype=np.float64)
        except OverflowError:  # a whole number that is no float
            return values, values, range(len(values))
        fits = (array >= low) & (array <= high)
        if not fits.all():  # NaN is not in any range, and what is missing is NaN here
            odd += [place for place in np.flatnonzero(~fits).tolist() if values[place] is not None]
        if int in kinds:
            values = array.tolist() if _NONE not in kinds else [v if v is None else float(v) for v in values]
        return values, array, odd

    return judge


def _checked(check: Check) -> _Judge:
    def judge(values: Sequence[Any]) -> _Judged:
        typed, odd = [], []
        for place, value in enumerate(values):
            said: list[str] = []
            try:
                typed.append(check(value, said))
            except Exception:  # the careful way says what it is
                typed.append(None)
                said.append("")
            if said:
                odd.append(place)
        return typed, typed, odd

    return judge
