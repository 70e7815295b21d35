"""CSV whose types hold for the whole file, at the cost of one parse, in memory or, for a large one, out of it.

The text is parsed block by block. The first block says what each column holds; a later value that does not fit widens
its column, and the blocks before are put right afterwards. Nothing is parsed twice unless it has to be.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.errors import SchemaError
from tidemill.data.sources.csv_blocks import Block, Text
from tidemill.data.sources.csv_kept import InMemory, Kept, OnDisk
from tidemill.data.sources.csv_parsing import Parser
from tidemill.data.sources.csv_types import NAMES, PARSED, TYPES, Kind, fitted, likely_kind
from tidemill.data.sources.dialect import dialect_of, header_of
from tidemill.data.sources.encodings import refuse_wide
from tidemill.data.types import polars_type

__all__ = ["read_csv"]

_HEAD = 1 << 20
_INFER_ROWS = 10_000


@dataclass
class _Column:
    """What is known of a column so far; `fixed` is the type that the option ``schema`` sets."""

    kind: Kind = "nothing"
    fixed: pl.DataType | None = None
    #: Where it became text, and what it held before: row, value, kind.
    turned: tuple[int, Any, Kind] | None = None


@dataclass
class _State:
    """The columns that are read, and what each block was read as."""

    columns: dict[str, _Column]
    read_as: list[dict[str, Kind]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    rows: int = 0


def read_csv(
    data: Path | bytes,
    options: Mapping[str, Any],
    columns: Sequence[str] | None,
    *,
    file: str | None = None,
    folder: Path | None = None,
) -> pl.LazyFrame:
    r"""Read a CSV file or its bytes.

    Parameters
    ----------
    data
        The file, or its content.
    options
        See `tidemill.data.sources.source.FILE_OPTIONS`. The type of a column that ``schema`` does not fix is what
        holds for every value of the file: a column that turns out to hold decimals or text further down is read as
        such, one that was all missing at the start becomes what its values are, and ISO dates and times are parsed
        (times with an offset become UTC) unless ``dates`` is false.
    columns
        Those to read; None for all.
    file
        Its name in messages.
    folder
        Where the table is kept, as Arrow, if it is not to be in memory; what is there from before is used.

    Raises
    ------
    DataError
        If the file is empty, ragged or of another encoding; the message names the line.
    SchemaError
        If a column that was asked for, or whose type was fixed, is not there, occurs twice, or holds another value; the
        message names the row.

    Warns
    -----
    UserWarning
        If a column that held numbers or times is text because of a value further down.

    Examples
    --------
    >>> read_csv(b"dest,at\nIAH,2013-01-01T10:00:00Z\nNA,NA\n", {"null_values": ["NA"]}, None).collect_schema()["at"]
    Datetime(time_unit='us', time_zone='UTC')
    """
    name = file or (data.name if isinstance(data, Path) else f"the file of {len(data):,} bytes")
    kept: Kept = OnDisk(folder) if folder is not None else InMemory()
    found = kept.from_before()
    if found is not None:
        return found
    with closing(Text(data)) as text, kept:
        head = text.cut(0, _HEAD)
        refuse_wide(head, name)
        dialect = dialect_of(head, options)
        header = header_of(head, dialect, name, has_names=options.get("header", True))
        state = _State(_columns(header.names, options, columns, name))
        parser = Parser(text, dialect, header, name)
        _guess(parser, state, options)
        for block in text.blocks(header.start, dialect.quote, kept.block_size):
            _take(parser, block, state, options, kept)
        _put_right(parser, state, kept)
        kinds = {column: known.fixed or TYPES[known.kind] for column, known in state.columns.items()}
        _tell(state, name)
        return kept.table(kinds)


def _columns(
    names: Sequence[str], options: Mapping[str, Any], columns: Sequence[str] | None, file: str
) -> dict[str, _Column]:
    fixed = {name: polars_type(kind) for name, kind in options.get("schema", {}).items()}
    wanted = names if columns is None else columns
    known = set(names)
    missing = [name for name in dict.fromkeys([*wanted, *(fixed if columns is None else ())]) if name not in known]
    if missing:
        raise SchemaError(f"{file} lacks columns", value=missing, hint=f"It has: {_listed(names)}.")
    chosen = set(wanted)
    return {name: _Column(fixed=fixed.get(name)) for name in names if name in chosen}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 50 else f"{', '.join(names[:50])} and {len(names) - 50:,} more"


def _guess(parser: Parser, state: _State, options: Mapping[str, Any]) -> None:
    """Take from the first rows what Polars can parse; the rest is read as text and looked at."""
    if not parser.dialect.has_plain_numbers:
        return
    likely = parser.likely_types(options.get("infer_rows", _INFER_ROWS))
    for name, known in state.columns.items():
        known.kind = next((kind for kind in PARSED if TYPES[kind] == likely.get(name)), "nothing")


def _take(parser: Parser, block: Block, state: _State, options: Mapping[str, Any], kept: Kept) -> None:
    """Parse one block, widen what does not hold it, and keep its table."""
    frame = parser.typed(block, _parsed_types(state, parser))
    dates = bool(options.get("dates", True))
    columns = zip(frame.get_columns(), state.columns.values(), strict=True)
    series = [_settled(column, known, state, parser, dates=dates) for column, known in columns]
    kept.add(pl.DataFrame(series))
    state.rows += frame.height
    state.blocks.append(block)
    state.read_as.append({name: known.kind for name, known in state.columns.items()})


def _parsed_types(state: _State, parser: Parser) -> dict[str, pl.DataType]:
    """What Polars is to parse each column as; times, and numbers in another notation, are parsed afterwards."""
    types: dict[str, pl.DataType] = {}
    for name, known in state.columns.items():
        kind = known.fixed or (TYPES[known.kind] if known.kind in PARSED else pl.String())
        later = kind.is_temporal() or (kind.is_numeric() and not parser.dialect.has_plain_numbers)
        types[name] = pl.String() if later else kind
    return types


def _settled(column: pl.Series, known: _Column, state: _State, parser: Parser, *, dates: bool) -> pl.Series:
    """A column of a block as what it is known to hold, or what it is known to hold widened."""
    if known.fixed is not None:
        return parser.as_fixed(column, known.fixed, state.rows)
    if column.dtype != pl.String:
        return column
    numbers = parser.plain_numbers(column)
    if known.kind == "nothing":
        known.kind = likely_kind(numbers, dates=False, bools=True)
        if known.kind == "text":
            known.kind = likely_kind(column, dates=dates, numbers=False)
    return _widened(column, numbers if known.kind in ("int", "float") else column, known, state.rows)


def _widened(column: pl.Series, read: pl.Series, known: _Column, before: int) -> pl.Series:
    values = fitted(read, known.kind)
    if values.null_count() == column.null_count():
        return values
    if known.kind == "int":
        decimals = fitted(read, "float")
        if decimals.null_count() == column.null_count():
            known.kind = "float"
            return decimals
        values = decimals
    row = int((values.is_null() & column.is_not_null()).arg_max() or 0)
    known.turned = (before + row + 1, column[row], known.kind)
    known.kind = "text"
    return column


def _put_right(parser: Parser, state: _State, kept: Kept) -> None:
    """Give the blocks that were read before a column was widened the type that it has now."""
    for number, (block, read_as) in enumerate(zip(state.blocks, state.read_as, strict=True)):
        old = {name: kind for name, kind in read_as.items() if kind != state.columns[name].kind}
        if not old:
            continue
        now = {name: state.columns[name].kind for name in old}
        texts = [name for name, kind in old.items() if now[name] == "text" and kind != "nothing"]
        again = list(parser.typed(block, dict.fromkeys(texts, pl.String()))) if texts else []
        empty = [pl.lit(None, TYPES[now[name]]).alias(name) for name, kind in old.items() if kind == "nothing"]
        wider = [pl.col(name).cast(pl.Float64) for name, kind in old.items() if (kind, now[name]) == ("int", "float")]
        kept.replace(number, kept.block(number).with_columns(*again, *empty, *wider))


def _tell(state: _State, file: str) -> None:
    for name, known in state.columns.items():
        if known.turned is None:
            continue
        row, value, kind = known.turned
        warnings.warn(
            f"column {name!r} of {file} is read as text, because row {row:,} has {value!r} and the rows before it have "
            f"{NAMES[kind]}. Add the value to null_values, or fix the type with schema = {{ {name} = … }}.",
            UserWarning,
            stacklevel=2,
        )
