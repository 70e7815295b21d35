"""The rows that are to be scored: a source in, chunks of keys and inputs out, the same ones each time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.digests import digest_value
from tidemill.core.errors import SchemaError
from tidemill.core.model import Signature
from tidemill.data.read import scan_source
from tidemill.data.sources.formats import format_of
from tidemill.data.sources.pinning import find_source, resolve_source
from tidemill.data.sources.schemes import connector_of, scheme_of
from tidemill.data.sources.source import ResolvedSource, Source
from tidemill.project import Project
from tidemill.project.settings import nearest

#: Values that tell whether a column of text is one of times.
_FIRST = 100
_NO_MOMENT, _MOMENTS = "the time is no moment", "Give a column of dates or times."
_DATABASES = ("sqlite", "duckdb", "postgresql", "postgres", "mysql", "mariadb")


@dataclass(frozen=True, slots=True)
class Rows:
    """A pinned table.

    Parameters
    ----------
    name, fingerprint
        Of the source.
    frame
        Its rows, in files that can be read from any place.
    height
        How many.
    entity, at
        The columns that say whom a row is about, and as of when.
    inputs
        The columns of the model.
    texts
        Inputs that are numbers or flags and are kept as text, in a format that has nothing else.
    numeric
        Inputs that are numbers or flags.
    """

    name: str
    fingerprint: str
    frame: pl.LazyFrame
    height: int
    entity: str
    at: str | None
    inputs: tuple[str, ...]
    texts: tuple[str, ...] = ()
    numeric: frozenset[str] = frozenset()

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the key in the table of predictions."""
        return ("entity",) if self.at is None else ("entity", "as_of")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows: where they stand, their keys, inputs and digests; and the rows that have no key.

    Parameters
    ----------
    place, digest
        Which chunk it is, and of what.
    read
        Rows that it was made of.
    keys, inputs, digests
        As long as each other.
    lacking
        Rows without a key: ``row``, ``entity``, ``as_of``, ``error``.
    repeated
        Rows whose key comes again later in the chunk: the last one counts.
    numbers
        The place of each row in the source.
    """

    place: int
    digest: str
    read: int
    keys: pl.DataFrame
    inputs: pl.DataFrame
    digests: pl.Series
    numbers: pl.Series
    lacking: pl.DataFrame
    repeated: int

    def only(self, mask: pl.Series) -> Chunk:
        """The chunk with the rows of a mask."""
        return replace(
            self, keys=self.keys.filter(mask), inputs=self.inputs.filter(mask), digests=self.digests.filter(mask),
            numbers=self.numbers.filter(mask),
        )  # fmt: skip


def open_rows(
    project: Project, source: str | Source, signature: Signature, entity: str, at: str | None, folder: Path
) -> Rows:
    """Pin a source, and make it readable in chunks: one that is not kept in columns is first copied to `folder`.

    Raises
    ------
    SchemaError
        If it does not have the entity, the time or an input of the model.
    """
    found = _found(project, source)
    resolved = resolve_source(found, root=project.root, sources=project.sources)
    resolved, other = as_written(project, resolved, signature, entity)
    at = at or found.event_time
    frame = scan_source(resolved, root=project.root)
    names = frame.collect_schema().names()
    inputs = tuple(signature.inputs.names)
    for name in (entity, *([at] if at else []), *inputs):
        if name not in names:
            what = "an input of the model" if name in inputs else "the entity" if name == entity else "the time"
            raise SchemaError(f"the source does not have {what}", value=name, hint=nearest(name, names))
    wanted = list(dict.fromkeys((entity, *([at] if at else []), *inputs)))
    frame = frame.select(wanted)
    if not _is_columnar(resolved):
        copied = folder / f"{digest_value([resolved.fingerprint, wanted])[:24]}.parquet"
        if not copied.exists():
            folder.mkdir(parents=True, exist_ok=True)
            frame.sink_parquet(folder / "rows.tmp", compression="lz4", maintain_order=True)
            (folder / "rows.tmp").replace(copied)
        frame = pl.scan_parquet(copied)
    if entity in other:
        frame = frame.with_columns(_key(frame, entity))
    schema = frame.collect_schema()
    _check_entity(entity, schema[entity])
    if at:
        _check_moment(at, schema[at], frame)
    texts = text_inputs(resolved, schema, signature)
    height = frame.select(pl.len()).collect().item()
    numeric = _numeric_inputs(signature)
    return Rows(found.name, resolved.fingerprint, frame, height, entity, at, inputs, texts, numeric)


def text_inputs(resolved: ResolvedSource, schema: Mapping[str, pl.DataType], signature: Signature) -> tuple[str, ...]:
    """Inputs that are numbers or flags and are kept as text, in a format that has nothing else."""
    if connector_of(resolved.source) is not None or _is_columnar(resolved):
        return ()
    numeric = _numeric_inputs(signature)
    return tuple(name for name in signature.inputs.names if name in numeric and schema.get(name) == pl.String)


def _numeric_inputs(signature: Signature) -> frozenset[str]:
    return frozenset(
        column.name
        for column in signature.inputs
        if (column.is_numeric or column.type == "bool") and column.semantic != "category" and column.categories is None
    )


def _words(signature: Signature) -> list[str]:
    """The inputs that are text."""
    kinds = ("string", "categorical", "enum[")
    return [one.name for one in signature.inputs if one.type.startswith(kinds)]


def as_written(
    project: Project, resolved: ResolvedSource, signature: Signature, entity: str
) -> tuple[ResolvedSource, list[str]]:
    """A pinned source whose key and words are read as they are written, and those that its reader would not read so.

    What they mean is known, and not guessed from the cells that a CSV file happens to have: ``01`` is no 1.
    """
    source = resolved.source
    if connector_of(source) is not None:  # what it gives has types of its own
        return resolved, []
    if {source.format or format_of(file.path) for file in resolved.files} != {"csv"}:
        return resolved, []
    declared: Mapping[str, Any] = source.options.get("schema", {})
    schema = scan_source(resolved, root=project.root).collect_schema()
    meant = [name for name in dict.fromkeys((entity, *_words(signature))) if name in schema and name not in declared]
    other = [name for name in meant if schema[name] != pl.String]
    if not other:
        return resolved, []
    options = {"schema": {**declared, **dict.fromkeys(other, "string")}}
    found = find_source(source, root=project.root, sources=project.sources, options=options)
    return resolve_source(found, root=project.root, sources=project.sources), other


def _key(frame: pl.LazyFrame, entity: str) -> pl.Expr:
    """A key that was read as text: whole numbers, if that is how every one of them is written, else text."""
    text = pl.col(entity).str.strip_chars()
    number = text.cast(pl.Int64, strict=False)
    same = (number.cast(pl.String) == text) & number.is_not_null()
    is_number = frame.select((same | pl.col(entity).is_null()).all()).collect().item()
    return number if is_number else pl.col(entity)


def chunks(rows: Rows, size: int) -> Iterator[Chunk]:
    """The rows in chunks of so many, in the order of the source."""
    for place, frame in enumerate(_parts(rows.frame, size)):
        yield _chunk(rows, place, place * size, frame)


def _parts(table: pl.LazyFrame, size: int) -> Iterator[pl.DataFrame]:
    """The table in its order, read once: a file is kept in parts of its own, which no slice need meet."""
    held: list[pl.DataFrame] = []
    for batch in table.collect_batches(chunk_size=size, maintain_order=True, lazy=True):
        held.append(batch)
        while (height := sum(part.height for part in held)) >= size:
            whole = held[0] if len(held) == 1 else pl.concat(held)
            yield whole.head(size)
            held = [whole.slice(size)] if height > size else []
    if held:
        yield pl.concat(held)


def _chunk(rows: Rows, place: int, start: int, frame: pl.DataFrame) -> Chunk:
    keys = frame.select(_keys(rows, frame))
    inputs = frame.select(list(rows.inputs))
    hashes = plain_inputs(inputs, rows.texts, rows.numeric).hash_rows()
    digests = hashes.reinterpret(signed=True).alias("row_digest")
    numbers = pl.int_range(start, start + frame.height, eager=True).alias("row")
    digest = hashlib.blake2b(digest_size=16)
    for parts in (hashes, keys.hash_rows()):
        digest.update(parts.to_numpy().tobytes())
    has_key = keys.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    lacking = _lacking(rows, frame.filter(~has_key), numbers.filter(~has_key))
    last = _are_last(keys)
    whole = Chunk(
        place, digest.hexdigest(), frame.height, keys, inputs, digests, numbers, lacking, int((has_key & ~last).sum())
    )
    return whole if (has_key & last).all() else whole.only(has_key & last)


def plain_inputs(inputs: pl.DataFrame, texts: tuple[str, ...], numeric: frozenset[str]) -> pl.DataFrame:
    """The inputs for digests: alike for equal values, whatever type the rest of its column made them.

    >>> from polars.testing import assert_frame_equal
    >>> one, other = pl.DataFrame({"x": [9]}), pl.DataFrame({"x": ["9", "many"]})
    >>> numeric = frozenset({"x"})
    >>> assert_frame_equal(plain_inputs(one, (), numeric), plain_inputs(other, ("x",), numeric).head(1))
    """
    columns, unread = [], [pl.lit(None, dtype=pl.String)]
    for name, kind in inputs.schema.items():
        column = pl.col(name)
        if name in texts:
            read = column.str.strip_chars().str.to_lowercase().replace({"true": "1", "false": "0"})
            column = read.cast(pl.Float64, strict=False)
            unread.append(pl.when(column.is_null()).then(pl.col(name)))
        elif name in numeric and (kind.is_numeric() or kind == pl.Boolean):
            column = column.cast(pl.Float64)
        elif kind.is_integer() or kind in (pl.Categorical, pl.Enum):
            column = column.cast(pl.String)
        columns.append(column.alias(name))
    return inputs.select(*columns, pl.concat_str(unread, separator="\n", ignore_nulls=True).alias("unread "))


def _keys(rows: Rows, frame: pl.DataFrame) -> list[pl.Expr]:
    kind = frame.schema[rows.entity]
    entity = pl.col(rows.entity).cast(entity_type(kind)).alias("entity")
    if rows.at is None:
        return [entity]
    return [entity, _moment(rows.at, frame.schema[rows.at]).alias("as_of")]


def entity_type(kind: pl.DataType) -> pl.DataType:
    """The type of the key's first column: whole numbers stay numbers, all else is text."""
    return pl.Int64() if kind.is_integer() and kind not in (pl.UInt64, pl.Int128) else pl.String()


def _moment(name: str, kind: pl.DataType) -> pl.Expr:
    """Microseconds in UTC, without a zone."""
    at = pl.col(name)
    if kind == pl.Date:
        return at.cast(pl.Datetime("us"))
    if kind == pl.String:
        return at.str.to_datetime(time_unit="us", time_zone="UTC", strict=False).dt.replace_time_zone(None)
    if isinstance(kind, pl.Datetime):
        return (at.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if kind.time_zone else at).dt.cast_time_unit(
            "us"
        )
    if kind == pl.Null:
        return at.cast(pl.Datetime("us"))
    raise SchemaError(_NO_MOMENT, value=f"{name} is {kind}", hint=_MOMENTS)


def _are_last(keys: pl.DataFrame) -> pl.Series:
    """Which rows have a key that does not come again."""
    entities = keys["entity"]
    if entities.dtype == pl.Int64 and not entities.null_count() and (entities[:-1] < entities[1:]).all():
        return pl.repeat(True, keys.height, dtype=pl.Boolean, eager=True)  # noqa: FBT003  as numbered rows come
    return keys.to_struct().is_last_distinct() if keys.width > 1 else entities.is_last_distinct()


def _lacking(rows: Rows, frame: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    at = pl.lit(None, dtype=pl.String) if rows.at is None else pl.col(rows.at).cast(pl.String)
    nobody, never = f"column {rows.entity!r}, the entity, is missing", f"column {rows.at!r} is missing or no moment"
    said = pl.when(pl.col("entity").is_null()).then(pl.lit(nobody)).otherwise(pl.lit(never))
    found = frame.select(pl.col(rows.entity).cast(pl.String).alias("entity"), at.alias("as_of"))
    return found.with_columns(numbers, said.alias("error"))


def _check_entity(name: str, kind: pl.DataType) -> None:
    if kind.is_float() or kind.is_nested():
        hint = "Make it a whole number or text in the source: 12.0 and 12 would be two entities."
        raise SchemaError("the entity is no key", value=f"{name} is {kind}", hint=hint)


def _check_moment(name: str, kind: pl.DataType, frame: pl.LazyFrame) -> None:
    """Refuse a column that is none of times; of one that is text, the first values tell."""
    moment = _moment(name, kind)
    if kind != pl.String:
        return
    some = frame.select(name).filter(pl.col(name).is_not_null()).head(_FIRST).collect()
    moments = some.select(moment).to_series()
    if some.height and moments.null_count() == some.height:
        raise SchemaError(_NO_MOMENT, value=f"{name} is {some[0, 0]!r}", hint=_MOMENTS)


def _found(project: Project, source: str | Source) -> Source:
    """The declaration of a source; a database's table may stand after a ``#``."""
    options: Mapping[str, Any] | None = None
    if isinstance(source, str) and source not in project.sources and scheme_of(source) in _DATABASES and "#" in source:
        source, _, table = source.partition("#")
        options = {"table": table}
    return find_source(source, root=project.root, sources=project.sources, options=options)


def _is_columnar(resolved: ResolvedSource) -> bool:
    """Whether any part of it can be read without the rest."""
    if connector_of(resolved.source) is not None:
        return scheme_of(resolved.source.uri) in _DATABASES and resolved.window is None  # a snapshot, in Parquet
    return all(file.path.endswith(".parquet") for file in resolved.files)
