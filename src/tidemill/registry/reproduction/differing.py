"""The first thing in which two results differ, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import polars as pl

from tidemill.core.errors import TidemillError, shorten
from tidemill.core.records import Artifact
from tidemill.engine import materialisers
from tidemill.packaging.package import Package, open_members
from tidemill.packaging.sameness import same_model
from tidemill.packaging.zips import read_zip
from tidemill.store.artifacts import ArtifactStore

_MODELS = ("model", "package")


def first_difference(then: Artifact, now: Artifact, artifacts: ArtifactStore) -> str:
    """Say where two stored values first differ: the column and row of tables, the part of models, the field of records.

    What cannot be read any more is said to be so.
    """
    if then.type != now.type:
        return f"a {then.type} then, a {now.type} now"
    try:
        old, new = (_value(artifact, artifacts) for artifact in (then, now))
    except TidemillError as error:
        return f"results that differ and cannot be read: {error}"
    if isinstance(old, Package) and isinstance(new, Package):
        return _of_packages(old, new)
    return difference_of(old, new) or "stored forms differ, values do not"


def _value(artifact: Artifact, artifacts: ArtifactStore) -> Any:
    if artifact.type in _MODELS and artifact.blob is not None:
        return open_members(read_zip(artifacts.read(artifact.blob)), f"artifact {artifact.digest[:12]}")
    return materialisers.load(artifact, None, artifacts)


def _of_packages(old: Package, new: Package) -> str:
    """What differs of the model, and if nothing does, of what was packed with it."""
    found = same_model(old, new)
    if not found.same:
        return str(found)
    skipped = ("measured", "engines", "metadata")
    was, now = ({key: value for key, value in item.manifest.items() if key not in skipped} for item in (old, new))
    return difference_of(was, now) or "stored forms differ, models do not"


def difference_of(old: Any, new: Any, path: str = "") -> str:
    """The first difference of two values, as ``path: … then, … now``; empty if there is none.

    >>> difference_of({"auc": 0.75, "rows": [1, 2]}, {"auc": 0.75, "rows": [1, 3]})
    'rows[1]: 2 then, 3 now'
    >>> difference_of(pl.DataFrame({"x": [1, 2]}), pl.DataFrame({"x": [1, 5]}))
    'column x, row 2: 2 then, 5 now'
    """
    if isinstance(old, pl.LazyFrame) and isinstance(new, pl.LazyFrame):
        return difference_of(old.collect(), new.collect(), path)
    if isinstance(old, pl.DataFrame) and isinstance(new, pl.DataFrame):
        return _of_tables(old, new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return _first(
            (f"{path}.{key}".lstrip("."), old.get(key), new.get(key)) for key in [*old, *(set(new) - set(old))]
        )
    if is_dataclass(old) and type(old) is type(new) and not isinstance(old, type):
        names = [item.name for item in fields(old) if item.compare]
        return _first((f"{path}.{name}".lstrip("."), getattr(old, name), getattr(new, name)) for name in names)
    if _is_list(old) and _is_list(new):
        found = _first((f"{path}[{at}]", left, right) for at, (left, right) in enumerate(zip(old, new, strict=False)))
        return found or ("" if len(old) == len(new) else f"{path or 'it'}: {len(old)} items then, {len(new)} now")
    if _same(old, new):
        return ""
    return f"{path or 'value'}: {shorten(old)} then, {shorten(new)} now"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _same(old: Any, new: Any) -> bool:
    try:
        return bool(old == new) or bool(old != old and new != new)
    except (TypeError, ValueError):  # arrays and the like, which have no one answer
        return repr(old) == repr(new)


def _first(pairs: Any) -> str:
    return next((found for path, left, right in pairs if (found := difference_of(left, right, path))), "")


def _of_tables(old: pl.DataFrame, new: pl.DataFrame) -> str:
    if old.schema != new.schema:
        return difference_of(
            {k: str(v) for k, v in old.schema.items()}, {k: str(v) for k, v in new.schema.items()}, "column"
        )
    if old.height != new.height:
        return f"{old.height:,} rows then, {new.height:,} now"
    for name in old.columns:
        places = old[name].ne_missing(new[name]).arg_true()
        if len(places):
            row = int(places[0])
            return f"column {name}, row {row + 1:,}: {shorten(old[name][row])} then, {shorten(new[name][row])} now"
    return ""
