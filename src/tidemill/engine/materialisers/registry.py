"""Which materialiser stores which type: a table of strings, so that nothing is imported before it is used."""

from __future__ import annotations

import importlib
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from importlib.metadata import entry_points
from typing import Any
from uuid import UUID

from tidemill.core.errors import MaterialiserError, UsageError
from tidemill.engine.materialisers.draft import Materialiser
from tidemill.engine.materialisers.plain import NAME as PLAIN

#: Third parties add materialisers here: the entry point's name is the type, its value the materialiser.
ENTRY_POINTS = "tidemill.materialisers"
_ROOM = "tidemill.engine.materialisers"
_PLAIN_TYPES = (
    type(None), bool, int, float, complex, str, date, time, timedelta, Decimal, UUID, Enum,
    list, tuple, set, frozenset, dict,
)  # fmt: skip

# A type is named by its module or by its top-level package, since packages move their classes about.
_TABLE: dict[str, str] = {
    "polars:DataFrame": f"{_ROOM}.table:TableMaterialiser",
    "polars:LazyFrame": f"{_ROOM}.table:TableMaterialiser",
    "pandas:DataFrame": f"{_ROOM}.table:TableMaterialiser",
    "pyarrow:Table": f"{_ROOM}.table:TableMaterialiser",
    "pyarrow:RecordBatch": f"{_ROOM}.table:TableMaterialiser",
    "pyarrow:RecordBatchReader": f"{_ROOM}.table:TableMaterialiser",
    "duckdb:DuckDBPyRelation": f"{_ROOM}.table:TableMaterialiser",
    "_duckdb:DuckDBPyRelation": f"{_ROOM}.table:TableMaterialiser",
    "narwhals:DataFrame": f"{_ROOM}.table:TableMaterialiser",
    "narwhals:LazyFrame": f"{_ROOM}.table:TableMaterialiser",
    "pyspark.sql.dataframe:DataFrame": f"{_ROOM}.table:TableMaterialiser",
    "numpy:ndarray": f"{_ROOM}.arrays:ArrayMaterialiser",
    "numpy:generic": PLAIN,
    "altair:TopLevelMixin": f"{_ROOM}.figure:FigureMaterialiser",
    "pathlib:Path": f"{_ROOM}.files:PathMaterialiser",
    "builtins:bytes": f"{_ROOM}.files:BytesMaterialiser",
    "tidemill.core.model:Model": "tidemill.packaging.materialiser:ModelMaterialiser",
    "tidemill.packaging.package:Package": "tidemill.packaging.materialiser:PackageMaterialiser",
}
_registered: dict[str, str] = {}
_found: dict[type, str | None] = {}
_made: dict[str, Materialiser] = {}
_installed: dict[str, str] | None = None


def register(type_path: str, materialiser_path: str) -> None:
    """Say which materialiser stores a type and its subclasses. Both are strings; nothing is imported until it is used.

    A package does the same without a call, by an entry point in the group ``tidemill.materialisers``::

        [project.entry-points."tidemill.materialisers"]
        "my_pkg.types:Thing" = "my_pkg.io:ThingMaterialiser"

    Parameters
    ----------
    type_path
        ``"module:qualname"`` of the type; the top-level package will do for the module.
    materialiser_path
        ``"module:qualname"`` of a class without arguments that follows the `Materialiser` protocol.

    Raises
    ------
    UsageError
        A path is not of that form.

    Examples
    --------
    >>> register("my_pkg.types:Thing", "my_pkg.io:ThingMaterialiser")
    """
    for path in (type_path, materialiser_path):
        module, _, name = path.partition(":")
        if not module or not name:
            raise UsageError(
                "not the path of a class",
                value=path,
                hint='Write it as "package.module:ClassName", as in entry points.',
            )
    _registered[type_path] = materialiser_path
    _found.clear()


def name_for(kind: type) -> str | None:
    """The path of the materialiser of a type, by its own name or a base class's; None if it has none."""
    try:
        return _found[kind]
    except KeyError:
        name = _found[kind] = _look_up(kind)
        return name


def has_own(kind: type) -> bool:
    """Whether a type has a materialiser other than the one for plain values."""
    return name_for(kind) not in (None, PLAIN)


def is_plain_type(kind: type) -> bool:
    """Whether values of a type can be plain; what is inside them is not looked at."""
    return issubclass(kind, _PLAIN_TYPES) or is_dataclass(kind)


def materialiser(name: str) -> Materialiser:
    """The materialiser of a path that is in the table, registered, or installed as an entry point.

    Raises
    ------
    MaterialiserError
        The path is unknown: a name in the store is not reason enough to import it.
    """
    made = _made.get(name)
    if made is None:
        made = _made[name] = _make(name)
    return made


def _make(name: str) -> Materialiser:
    if name != PLAIN and name not in {*_TABLE.values(), *_registered.values(), *_entry_points().values()}:
        raise MaterialiserError(
            "an artifact was stored by a materialiser that is not registered here",
            value=name,
            hint="Install the package that brings it, or call tidemill.engine.materialisers.register.",
        )
    module, _, qualname = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
        made: Materialiser = found()
    except (ImportError, AttributeError, TypeError) as error:
        raise MaterialiserError(
            f"the materialiser {name} cannot be loaded: {error}",
            hint="Correct its registration, or install what it needs.",
        ) from error
    return made


def _look_up(kind: type) -> str | None:
    for table in (_registered, _TABLE):
        name = _by_base(kind, table)
        if name is not None:
            return name
    if issubclass(kind, _PLAIN_TYPES) and kind.__module__ in {"builtins", "datetime", "decimal", "uuid"}:
        return PLAIN
    return _by_base(kind, _entry_points()) or (PLAIN if is_plain_type(kind) else None)


def _by_base(kind: type, table: dict[str, str]) -> str | None:
    if not table:
        return None
    for base in kind.__mro__:
        name = table.get(f"{base.__module__}:{base.__qualname__}")
        name = name or table.get(f"{base.__module__.partition('.')[0]}:{base.__qualname__}")
        if name is not None:
            return name
    return None


def _entry_points() -> dict[str, str]:
    global _installed
    if _installed is None:
        _installed = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return _installed
