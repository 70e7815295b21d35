"""Many usual rows, recognised column by column: what `usual_rows` does for one row, without a call for each.

A column of a thousand numbers is judged by its set of types and two comparisons of an array. Rows with anything that is
not known to be in order are named, and go the careful way one by one, so there is one meaning and one wording.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tidemill.core.model import Signature
from tidemill.core.schema import Column
from tidemill.packaging.ordered import Ordered
from tidemill.packaging.usual_rows import Bounds, Check


class Recognised(NamedTuple):
    """What is known of many rows before the careful checks have looked at the odd ones.

    Parameters
    ----------
    rows
        The typed values of each row in the signature's order; those of the odd ones mean nothing.
    columns
        The same by column, as they are encoded best: numbers in arrays where NaN stands for None. None at all where
        every row is odd.
    odd
        The places of rows that the careful checks must look at.
    """

    rows: list[Any]
    columns: list[Any]
    odd: set[int]

    def with_odd(self, good: Sequence[int]) -> list[Any]:
        """The columns of the `good` rows once `rows` holds what the careful checks made of the odd ones."""
        if len(self.odd) == len(self.rows):
            return list(zip(*map(self.rows.__getitem__, good), strict=True))
        if not self.odd:
            return self.columns
        mended = [place for place in self.odd if self.rows[place] is not None]
        chosen = None if len(good) == len(self.rows) else good
        values: Sequence[Any] = list(zip(*map(self.rows.__getitem__, mended), strict=True)) or [()] * len(self.columns)
        return [_with(column, mended, new, chosen) for column, new in zip(self.columns, values, strict=True)]


UsualColumns = Callable[[Sequence[Any]], Recognised]
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
    >>> known = usual(rows * 6)
    >>> known.rows[0], known.columns[0][:3], sorted(known.odd)
    (('MIA', 1089.0), ('MIA', 'MIA', 'IAH'), [1, 4, 7, 10, 13, 16])
    """
    names = signature.inputs.names
    if len(names) < 2:  # `itemgetter` gives no tuple then
        return none_usual
    judges = [_judge(column, bounds(column), checks) for column in signature.inputs]

    def usual(rows: Sequence[Any]) -> Recognised:
        table, odd = _table(rows, names) if len(rows) >= _MANY else ([], set())
        if not table:
            return none_usual(rows)
        sent = list(zip(*table, strict=True))
        judged = [judge(values) for judge, values in zip(judges, sent, strict=True)]
        odd.update(*(places for _, _, places in judged))
        if any(typed is not values for (typed, _, _), values in zip(judged, sent, strict=True)):
            table = list(zip(*(typed for typed, _, _ in judged), strict=True))
        return Recognised(table, [encodable for _, encodable, _ in judged], odd)

    return usual


def none_usual(rows: Sequence[Any]) -> Recognised:
    """What is said of rows that are not known to be usual, none of them."""
    return Recognised([()] * len(rows), [], set(range(len(rows))))


def _with(column: Any, places: Sequence[int], new: Sequence[Any], good: Sequence[int] | None) -> Any:
    """A column with other values at some places, and of the good rows only; None are all of them."""
    if isinstance(column, np.ndarray):
        column = column.copy()
        column[places] = np.array(new, dtype=np.float64)
        return column if good is None else column[good]
    column = list(column)
    for place, value in zip(places, new, strict=True):
        column[place] = value
    return column if good is None else [column[place] for place in good]


def _table(rows: Sequence[Any], names: tuple[str, ...]) -> tuple[list[Any], set[int]]:
    """The values of rows that have every column and no other; another row's in the place of those that have not."""
    if isinstance(rows, Ordered):
        if {*rows.columns} == {*names}:
            return rows.in_order_of(names), set()
        rows = [*rows]
    if set(map(type, rows)) == {dict} and set(map(len, rows)) == {len(names)}:
        spelt = {name: name for name in rows[0]}  # what is not only equal but the same is found without comparing
        try:
            return list(map(itemgetter(*(spelt.get(name, name) for name in names)), rows)), set()
        except KeyError:
            pass
    get = itemgetter(*names)
    table: list[Any] = []
    odd: set[int] = set()
    for place, row in enumerate(rows):
        try:
            fits = type(row) is dict and len(row) == len(names)
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
        if list(map(type, values)).count(float) == len(values):
            array = _floats(values)
            fits = (array >= low) & (array <= high)
            return values, array, () if fits.all() else np.flatnonzero(~fits).tolist()
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


def _floats(values: Sequence[float]) -> NDArray[np.float64]:
    """Floats as an array that cannot be written to, several times faster than NumPy, which asks each what it is."""
    return np.frombuffer(struct.pack(f"{len(values)}d", *values))


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
