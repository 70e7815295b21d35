"""Rows whose values are in the order of some columns: whoever knows that order need not look each of them up."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, overload


class Ordered(Sequence[dict[str, Any]]):
    """Rows, each a mapping of columns to values once somebody looks at it.

    Parameters
    ----------
    columns
        The names of the columns.
    values
        For each row its values in the order of the columns.

    Examples
    --------
    >>> rows = Ordered(("dest", "distance"), [("MIA", 1089), ("IAH", 1400)])
    >>> len(rows), rows[1]
    (2, {'dest': 'IAH', 'distance': 1400})
    """

    __slots__ = ("columns", "values")

    def __init__(self, columns: tuple[str, ...], values: list[tuple[Any, ...]]) -> None:
        self.columns = columns
        self.values = values

    def in_order_of(self, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """The values in the order of the same columns, of which there are two or more."""
        if columns == self.columns:
            return [*self.values]
        return list(map(itemgetter(*map(self.columns.index, columns)), self.values))

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, place: slice) -> Ordered: ...
    def __getitem__(self, place: int | slice) -> dict[str, Any] | Ordered:
        return type(self)(self.columns, self.values[place]) if isinstance(place, slice) else self.row(place)

    def row(self, place: int) -> dict[str, Any]:
        """A row as a mapping."""
        return dict(zip(self.columns, self.values[place], strict=True))
