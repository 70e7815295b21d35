"""What the columns of a model are after its repairs: which are added, replaced, or become numbers."""

from __future__ import annotations

from collections.abc import Iterable

from tidemill.core.schema import Column, TableSchema
from tidemill.data.repairs.values import Repair


def added_columns(repairs: Iterable[Repair]) -> tuple[str, ...]:
    """Names of the columns that the repairs add: indicators, and the flags of categories."""
    added: list[str] = []
    for repair in repairs:
        added += [repair["indicator"]] if repair.get("indicator") else []
        added += repair["columns"] if repair["kind"] == "onehot" else []
    return tuple(added)


def repaired_schema(inputs: TableSchema, repairs: Iterable[Repair]) -> TableSchema:
    """The columns that a model learns from, after the repairs.

    >>> repairs = [{"kind": "onehot", "column": "maker", "columns": {"maker__is__AIRBUS": "AIRBUS"}}]
    >>> repaired_schema(TableSchema((Column("maker", "string"), Column("seats", "int64"))), repairs).names
    ('seats', 'maker__is__AIRBUS')
    """
    columns = {column.name: column for column in inputs}
    for repair in repairs:
        name, kind = repair["column"], repair["kind"]
        if kind == "onehot":
            columns.pop(name, None)
        elif kind in ("ordinal", "target"):
            columns[name] = Column(name, "float64")
        elif kind == "derive":
            columns[name] = Column(name, repair["type"])
        for added in added_columns([repair]):
            columns[added] = Column(added, "float64", nullable=False)
    return TableSchema(tuple(columns.values()))
