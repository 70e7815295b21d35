"""Files of rows in: CSV, NDJSON, Parquet, Arrow; loaded when the first one comes."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import polars as pl

from tidemill.core.errors import DataError, InvalidRequestError, UsageError
from tidemill.core.model import Signature
from tidemill.data.sources.dialect import Dialect, header_of
from tidemill.serving.arrow_packing import is_packed
from tidemill.serving.file_columns import columns_aside, entities_of, entity_of, is_answer, is_input, require_entity
from tidemill.serving.parquet_packing import unpacked
from tidemill.serving.predictor import Answer, Predictor
from tidemill.serving.scoring.judged import Judged
from tidemill.serving.scoring.scorer import Scorer

Format = Literal["csv", "ndjson", "parquet", "arrow"]

#: What a file of one's own may be, by the ending of its name.
ENDINGS: dict[str, Format] = {".csv": "csv", ".parquet": "parquet", ".ndjson": "ndjson", ".jsonl": "ndjson"}
#: Rows that are answered, and logged, together.
CHUNK_ROWS = 10_000
#: What a file may grow to once it is unpacked: a few bytes of Parquet can stand for any number of rows.
MAX_ROWS, MAX_CELLS, MAX_BYTES = 1_000_000, 50_000_000, 1 << 29


class TooManyRowsError(Exception):
    """A file that holds more than is answered at once: it never leaves this room."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows as columns; `texts` are those that are text because the format has nothing else."""

    frame: pl.DataFrame
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.frame.height


#: Rows as objects, or as columns.
Chunk = list[Any] | Columns


class Chunks:
    """The rows of a file in their order, some at a time.

    A column with the answers is left out. What else is no input of the model is left aside where no input is missing:
    else it may be one, misspelt. Of a table that is known of all rows at once, of lines of JSON row by row.

    Parameters
    ----------
    chunks, rows
        The rows, and how many there are.
    left_aside
        The names of what was left aside, of those rows that were read so far.
    entities
        Whom the rows are about, a key for each.
    """

    def __init__(
        self, chunks: Iterator[Chunk], rows: int, left_aside: dict[str, None], entities: pl.Series | None = None
    ) -> None:
        self._chunks = chunks
        self.rows, self.left_aside, self._entities = rows, left_aside, entities

    def __iter__(self) -> Iterator[Chunk]:
        return self._chunks

    def entities(self, start: int, count: int) -> list[Any] | None:
        """The keys of some rows; None where the file was not asked for any."""
        return None if self._entities is None else self._entities.slice(start, count).to_list()


def read_chunks(
    kind: Format, data: bytes, signature: Signature, *, completed: bool = False, entity: str | None = None
) -> Chunks:
    """The rows of a file that was sent.

    The whole file was read, and nothing is wrong with it, when the first rows are given.

    Parameters
    ----------
    kind, data
        The file.
    signature
        What the model takes.
    completed
        Whether rows are completed with features by keys that are no inputs: then nothing is left aside.
    entity
        The column with the keys of those whom the rows are about.

    Raises
    ------
    InvalidRequestError
        For a file that is broken, has no rows, lacks `entity`, or lacks an input and has something else; it says in
        which line.
    TooManyRowsError
        For one that holds more than `MAX_ROWS`, or unpacks to more than fits.
    """
    if kind == "ndjson":
        chunks = _lines(data, signature, completed=completed, entity=entity)
        _require_fit(chunks.rows, 1)
    elif kind == "csv":
        table = read_csv(data, most=MAX_ROWS).lazy()
        chunks = _table(table, signature, completed=completed, is_text=True, entity=entity)
    else:
        chunks = _table(_frame(kind, data).lazy(), signature, completed=completed, entity=entity)
    if not chunks.rows:
        raise InvalidRequestError("the file has no rows", hint="Send one row or more.")
    return chunks


def open_chunks(file: Path, signature: Signature, *, completed: bool = False) -> Chunks:
    """The rows of a file of one's own, by its ending one of `ENDINGS`, however many they are; else as `read_chunks`.

    Of Parquet, columns that the model does not take are not read.

    Raises
    ------
    UsageError
        For a file that cannot be read.
    InvalidRequestError
        For one that lacks an input and has something else.
    """
    kind, shown = ENDINGS[file.suffix.lower()], str(file)
    try:
        if kind == "ndjson":
            return _lines(file.read_bytes(), signature, completed=completed)
        table = read_csv(file.read_bytes()).lazy() if kind == "csv" else pl.scan_parquet(file)
    except InvalidRequestError as error:
        raise UsageError(f"the file cannot be read: {error}", value=shown) from error
    try:
        return _table(table, signature, completed=completed, is_text=kind == "csv")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UsageError(f"the file cannot be read: {str(error).splitlines()[0]}", value=shown) from error


def judge_chunk(scorer: Scorer, chunk: Chunk) -> Judged:
    """What becomes of some rows of a file."""
    if isinstance(chunk, Columns):
        return scorer.judge(chunk.frame, chunk.texts)
    return Judged.of([scorer.predictor.answer(chunk)], scorer.signature.target)


def answer_chunk(predictor: Predictor, chunk: Chunk) -> Answer:
    """The same, as the answer to a request of these rows."""
    if isinstance(chunk, Columns):
        return Scorer(predictor).judge(chunk.frame, chunk.texts).answer(predictor.decide)
    return predictor.answer(chunk)


def read_csv(data: bytes, *, most: int | None = None) -> pl.DataFrame:
    r"""The cells of a CSV file as text, an empty one as missing; of a file with more rows than `most`, none.

    Raises
    ------
    InvalidRequestError
        With the number of the line that is broken, or has more or fewer cells than there are columns.

    Examples
    --------
    >>> read_csv(b"queue,items\n3,\n").to_dicts()
    [{'queue': '3', 'items': None}]
    >>> try:
    ...     read_csv(b"queue,items\n3,4\n5\n")
    ... except InvalidRequestError as error:
    ...     print(error)
    line 3 of the CSV file has 1 cell, and there are 2 columns: '5'.
    """
    text, rows = _text_of(data, "CSV"), _even_lines(data)
    if rows is None:
        rows = _checked_csv(text, most)
    elif most is not None and rows > most:
        raise TooManyRowsError(f"more than {most:,} rows")
    del text
    try:
        cells = pl.read_csv(data, infer_schema=False)
        if any('""' in name for name in cells.columns):  # Polars leaves quotes in names doubled
            cells.columns = list(header_of(data, Dialect(), "the CSV file", has_names=True).names)
    except DataError as error:
        raise InvalidRequestError(error.what, value=error.value, hint=error.hint) from error
    except pl.exceptions.PolarsError as error:
        raise _broken("CSV", error) from error
    if cells.height != rows:  # what parsers do not agree on is not guessed at: each row must get its own answer
        hint = "End lines with a line feed, and quote cells that hold quotes."
        raise InvalidRequestError("the CSV file can be read in two ways", value=f"{rows} or {cells.height}", hint=hint)
    return cells


def _table(
    frame: pl.LazyFrame, signature: Signature, *, completed: bool, is_text: bool = False, entity: str | None = None
) -> Chunks:
    names = frame.collect_schema().names()
    require_entity(entity, names)
    aside = [] if completed else columns_aside(names, signature, entity)
    read = [name for name in names if name not in aside and (name == entity or not is_answer(name, signature))]
    table = frame.select(read).collect()
    entities = None if entity is None else entities_of(table[entity])
    kept = [name for name in read if is_input(name, signature) or (completed and not is_answer(name, signature))]
    texts = tuple(name for name in kept if is_text)
    chunks = (Columns(part, texts) for part in table.select(kept).iter_slices(CHUNK_ROWS))
    return Chunks(chunks, table.height, dict.fromkeys(aside), entities)


def _lines(data: bytes, signature: Signature, *, completed: bool, entity: str | None = None) -> Chunks:
    _text_of(data, "NDJSON")
    data, count = data.removeprefix(codecs.BOM_UTF8), 0
    keys, names = list[str | None](), dict[str, None]()
    for number, text in _numbered(data):
        row = _parsed(text, number)
        count += 1
        if entity is not None:
            keys.append(entity_of(row, entity, number))
            names.update(dict.fromkeys(row if isinstance(row, dict) else ()))
    if count:
        require_entity(entity, names)
    left_aside: dict[str, None] = {}
    inputs = frozenset(signature.inputs.names)
    unused = ({signature.target} if completed else {signature.target, entity}) - inputs

    def kept(row: Any) -> Any:
        if not isinstance(row, dict):
            return row
        for name in unused:
            row.pop(name, None)
        if completed or len(row) <= len(inputs) or not row.keys() >= inputs:
            return row
        left_aside.update(dict.fromkeys(name for name in row if name not in inputs))
        return {name: value for name, value in row.items() if name in inputs}

    rows = (kept(_parsed(text, number)) for number, text in _numbered(data))
    chunks = (list(islice(rows, CHUNK_ROWS)) for _ in range(0, count, CHUNK_ROWS))
    return Chunks(chunks, count, left_aside, None if entity is None else pl.Series(entity, keys, dtype=pl.String))


def _numbered(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines that hold anything, with their numbers."""
    return ((number, text) for number, text in enumerate(io.BytesIO(data), 1) if not text.isspace())


def _parsed(text: bytes, number: int) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        what = f"line {number} of the NDJSON file is not JSON: {error}"
        raise InvalidRequestError(what, hint="Send one JSON object per line.") from error


def _text_of(data: bytes, kind: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidRequestError(f"line {line} of the {kind} file is not UTF-8", hint="Save it as UTF-8.") from error


def _even_lines(data: bytes) -> int | None:
    """How many lines follow the first one of a CSV file that nobody can misread; None if that is not certain.

    That is one without quotes, with as many commas in each line, and a header without a repetition.
    """
    if b'"' in data or data.count(b"\r") != data.count(b"\r\n"):
        return None
    names = io.BytesIO(data).readline().removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n").split(b",")
    if not 1 < len(names) == len(set(names)):
        return None
    bytes_ = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(bytes_ == ord("\n"))
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1])
    commas = np.add.reduceat(bytes_ == ord(","), starts, dtype=np.uint32)
    is_even = (commas == len(names) - 1).all() and (ends - starts).max() < csv.field_size_limit()
    return len(ends) - 1 if is_even else None


def _checked_csv(text: str, most: int | None) -> int:
    """How many rows a CSV file has, all of them as wide as its header."""
    reader, rows, last = csv.reader(io.StringIO(text, newline=""), strict=True), 0, 1
    try:
        names = next(reader, [])
        repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if repeated or not names:
            what = "column names repeat" if repeated else "the CSV file has no header"
            raise InvalidRequestError(what, value=repeated or None, hint="Name each column once in the first line.")
        last = reader.line_num + 1
        for cells in reader:
            if cells and len(cells) != len(names):
                width = f"{len(cells)} cell{'s' if len(cells) > 1 else ''}"
                what = f"line {last} of the CSV file has {width}, and there are {len(names)} columns"
                raise InvalidRequestError(what, value=",".join(cells)[:80])
            rows, last = rows + 1, reader.line_num + 1
            if most is not None and rows > most:
                raise TooManyRowsError(f"more than {most:,} rows")
    except csv.Error as error:
        raise InvalidRequestError(f"line {last} of the CSV file is broken: {error}") from error
    return rows


def _frame(kind: Format, data: bytes) -> pl.DataFrame:
    try:
        if kind == "parquet":
            _require_parquet_fit(data)
            frame = _parquet(data)
        else:
            _refuse_packed(data)
            frame = pl.read_ipc_stream(io.BytesIO(data), n_rows=MAX_ROWS + 1, use_pyarrow=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise _broken("Parquet file" if kind == "parquet" else "Arrow stream", error) from error
    _require_fit(frame.height, frame.width)
    values, size = map(sum, zip((0, 0), *map(_extent, frame.get_columns()), strict=True))
    if values > MAX_CELLS or size > MAX_BYTES:
        raise TooManyRowsError(f"{values:,} values, and {size:,} bytes of text")
    return frame


def _require_parquet_fit(data: bytes) -> None:
    told = unpacked(data)
    if told.rows > MAX_ROWS or told.values > MAX_CELLS or told.size > MAX_BYTES:
        what = f"{told.rows:,} rows of {told.values:,} values, {told.size:,} bytes when it is unpacked"
        raise TooManyRowsError(what)


def _parquet(data: bytes) -> pl.DataFrame:
    """The rows; categories as text, since Polars would look at the whole text of each of them again in every row."""
    scan = pl.scan_parquet(io.BytesIO(data))
    schema = scan.collect_schema()
    if not any(map(_has_categories, schema.values())):
        return scan.collect()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    plain = data[:footer] + data[footer:].replace(b"ARROW:schema", b"arrow schema")  # a key that nobody reads
    held = pl.scan_parquet(io.BytesIO(plain)).collect()
    lost = {name: kind for name, kind in schema.items() if held.schema[name] != kind and not _has_categories(kind)}
    return held.cast(lost)  # type: ignore[arg-type]


def _has_categories(kind: pl.DataType) -> bool:
    """Whether it is a type of categories, or of lists or structures with one."""
    return "Categorical" in str(kind) or "Enum" in str(kind)


def _extent(column: pl.Series) -> tuple[int, int]:
    """How many values a column holds, and how many bytes of text: a dictionary holds its text only once."""
    kind = column.dtype
    if isinstance(kind, pl.List | pl.Array):
        return _extent(column.explode())
    if isinstance(kind, pl.Struct):
        values, size = zip(*map(_extent, column.struct.unnest().get_columns()), strict=True)
        return sum(values), sum(size)
    if kind == pl.String:
        lengths = column.str.len_bytes()
    elif isinstance(kind, pl.Categorical | pl.Enum):
        lengths = column.cat.len_bytes()
    elif kind == pl.Binary:
        lengths = column.bin.size()
    else:
        return len(column), 0
    return len(column), int(lengths.cast(pl.Int64).sum() or 0)


def _refuse_packed(stream: bytes) -> None:
    if is_packed(stream):
        hint = "Write it without compression, or send a Parquet file."
        raise InvalidRequestError("the Arrow stream is compressed inside, which is not read", hint=hint)


def _require_fit(rows: int, columns: int) -> None:
    if rows > MAX_ROWS or rows * columns > MAX_CELLS:
        raise TooManyRowsError(f"{rows:,} rows of {columns:,} columns")


def _broken(kind: str, error: BaseException) -> InvalidRequestError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InvalidRequestError(f"the {kind} cannot be read: {reason}"[:300], hint="Is the Content-Type the right one?")
