"""The typed schema of a table: what a column holds, may hold and means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tidemill.core.errors import SchemaError

SemanticType = Literal["id", "category", "quantity", "count", "flag", "time", "text", "target", "unknown"]

#: The physical types, named as Arrow names them. Lists, structs and decimals carry their parameters in the text.
PHYSICAL_TYPES = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 string binary date time null".split()
)
_PARAMETRIC = ("timestamp[", "duration[", "decimal[", "list[", "struct[", "array[", "categorical", "enum[", "object")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name, type
        Its name, and its physical type: one of `PHYSICAL_TYPES` or a parametric one such as ``timestamp[us, UTC]``,
        ``list[int64]``, ``decimal[10, 2]``.
    semantic
        What it means: an identifier, a category, a measured quantity, a count, a flag, a moment, text, the target.
    nullable
        Whether a value may be missing.
    minimum, maximum
        The closed range of allowed values, for numbers.
    categories
        The allowed values, in order, for categories.
    unit
        Unit of measurement, such as ``"mph"`` or ``"min"``.
    description
        One sentence for people.
    """

    name: str
    type: str
    semantic: SemanticType = "unknown"
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] | None = None
    unit: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if self.type not in PHYSICAL_TYPES and not self.type.startswith(_PARAMETRIC):
            raise SchemaError(
                f"column {self.name!r} has an unknown physical type",
                value=self.type,
                hint=f"Use one of {', '.join(sorted(PHYSICAL_TYPES))}, or a parametric one: timestamp[us, UTC].",
            )

    @property
    def is_numeric(self) -> bool:
        """Whether arithmetic on it makes sense."""
        return self.type.startswith(("int", "uint", "float", "decimal"))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping without the fields that are at their defaults."""
        out: dict[str, Any] = {"name": self.name, "type": self.type}
        if self.semantic != "unknown":
            out["semantic"] = self.semantic
        if not self.nullable:
            out["nullable"] = False
        for key in ("minimum", "maximum", "unit"):
            if getattr(self, key) is not None:
                out[key] = getattr(self, key)
        if self.categories is not None:
            out["categories"] = list(self.categories)
        if self.description:
            out["description"] = self.description
        return out

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Column:
        """Read what `to_dict` wrote; an unknown field is an error."""
        unknown = sorted(set(raw) - set(cls.__dataclass_fields__))
        if unknown:
            raise SchemaError(
                f"column {raw.get('name')!r} has unknown fields",
                value=unknown,
                hint=f"Known fields: {', '.join(cls.__dataclass_fields__)}.",
            )
        categories = raw.get("categories")
        return cls(**{**raw, "categories": None if categories is None else tuple(categories)})


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The columns of a table, in order.

    >>> schema = TableSchema((Column("dest", "string"), Column("distance", "int64", unit="mi")))
    >>> schema.names
    ('dest', 'distance')
    >>> schema["distance"].unit
    'mi'
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        counts = Counter(column.name for column in self.columns)
        repeated = sorted(name for name, count in counts.items() if count > 1)
        if repeated:
            raise SchemaError("column names repeat", value=repeated, hint="Rename all but one of each.")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError("no such column", value=name, hint=f"Columns are: {', '.join(self.names)}.")

    def select(self, names: tuple[str, ...] | list[str]) -> TableSchema:
        """The schema of these columns, in this order."""
        return TableSchema(tuple(self[name] for name in names))

    def with_column(self, column: Column) -> TableSchema:
        """The schema with one column replaced, or appended when it is new."""
        if column.name in self:
            return TableSchema(tuple(column if c.name == column.name else c for c in self.columns))
        return TableSchema((*self.columns, column))

    def with_semantics(self, semantics: Mapping[str, SemanticType]) -> TableSchema:
        """The schema with the semantic types of some columns set."""
        return TableSchema(
            tuple(replace(c, semantic=semantics[c.name]) if c.name in semantics else c for c in self.columns)
        )

    def differences(self, other: TableSchema) -> list[str]:
        """What differs in `other`, one sentence each: missing, new and retyped columns, order left aside.

        >>> TableSchema((Column("a", "int64"),)).differences(TableSchema((Column("a", "string"),)))
        ["column 'a' is string instead of int64"]
        """
        mine, theirs = {c.name: c for c in self}, {c.name: c for c in other}
        out = [f"column {name!r} is missing" for name in mine if name not in theirs]
        out += [f"column {name!r} is new" for name in theirs if name not in mine]
        out += [
            f"column {name!r} is {theirs[name].type} instead of {mine[name].type}"
            for name in mine
            if name in theirs and mine[name].type != theirs[name].type
        ]
        return out

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        return {"columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> TableSchema:
        """Read what `to_dict` wrote."""
        return cls(tuple(Column.from_dict(column) for column in raw["columns"]))
