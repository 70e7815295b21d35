"""Tables of rows in and of answers out: CSV, NDJSON, Parquet, Arrow; loaded when the first one comes."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import orjson
import polars as pl

from tidemill.core.errors import InvalidRequestError
from tidemill.core.model import Signature
from tidemill.serving.arrow_packing import is_packed
from tidemill.serving.parquet_packing import unpacked

Format = Literal["csv", "ndjson", "parquet", "arrow"]
Rows = list[dict[str, Any]]

#: Rows that are answered, and logged, together.
CHUNK_ROWS = 10_000
#: What a file may grow to once it is unpacked: a few bytes of Parquet can stand for any number of rows.
MAX_ROWS, MAX_CELLS, MAX_BYTES = 1_000_000, 50_000_000, 1 << 29


class TooManyRowsError(Exception):
    """A file that holds more than is answered at once: it never leaves this room."""


def read_chunks(kind: Format, data: bytes, signature: Signature) -> Iterator[list[Any]]:
    """The rows of a file in their order, some at a time; a column with the answers is left out.

    The whole file was read, and nothing is wrong with it, when the first rows are given.

    Raises
    ------
    InvalidRequestError
        For a file that is broken, or has no rows; it says in which line.
    TooManyRowsError
        For one that holds more than `MAX_ROWS`, or unpacks to more than fits.
    """
    if kind == "ndjson":
        return _lines(data, signature)
    frame = read_csv(data, most=MAX_ROWS) if kind == "csv" else _frame(kind, data)
    if frame.height == 0:
        raise InvalidRequestError("the file has no rows", hint="Send one row or more.")
    if not _is_input(signature.target, signature):
        frame = frame.drop(signature.target, strict=False)
    chunks = (frame.slice(start, CHUNK_ROWS) for start in range(0, frame.height, CHUNK_ROWS))
    if kind == "csv":
        _require_inputs(frame.columns, signature)
        return (typed_cells(chunk, signature) for chunk in chunks)
    return (chunk.to_dicts() for chunk in chunks)


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
    rows = _checked_csv(_text_of(data, "CSV"), most)
    try:
        cells = pl.read_csv(data, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise _broken("CSV", error) from error
    if cells.height != rows:  # what parsers do not agree on is not guessed at: each row must get its own answer
        hint = "End lines with a line feed, and quote cells that hold quotes."
        raise InvalidRequestError("the CSV file can be read in two ways", value=f"{rows} or {cells.height}", hint=hint)
    return cells


def typed_cells(cells: pl.DataFrame, signature: Signature) -> Rows:
    """The rows of a CSV file, cell by cell: one that is no number where the model takes one spoils its own row only."""
    readers = {column.name: _reader_of(column.type) for column in signature.inputs}
    return [
        {name: readers.get(name, _as_it_is)(text) if text is not None else None for name, text in row.items()}
        for row in cells.to_dicts()
    ]


def flat(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer as one row of a table.

    >>> flat({"gate": "B", "probabilities": {"A": 0.25, "B": 0.75}, "warnings": ["one", "two"]})
    {'gate': 'B', 'probabilities.A': 0.25, 'probabilities.B': 0.75, 'warnings': 'one; two'}
    """
    told: dict[str, Any] = {}
    for name, value in answer.items():
        if isinstance(value, dict):
            told |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            told[name] = "; ".join(map(str, value)) if isinstance(value, list) else value
    return told


class Written:
    """The answers of a file, collected some at a time.

    Parameters
    ----------
    kind
        As what they are written.
    """

    def __init__(self, kind: Format) -> None:
        self._kind = kind
        self._lines: list[bytes] = []
        self._frames: list[pl.DataFrame] = []

    def add(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Take the answers of the next rows."""
        if self._kind == "ndjson":
            options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
            self._lines.append(b"".join(orjson.dumps(answer, option=options) for answer in answers))
        else:
            self._frames.append(pl.DataFrame([flat(answer) for answer in answers], infer_schema_length=None))

    def finish(self) -> bytes:
        """The file."""
        if self._kind == "ndjson":
            return b"".join(self._lines)
        frame, out = pl.concat(self._frames, how="diagonal_relaxed"), io.BytesIO()
        ordered = sorted(frame.columns, key=_last)
        frame = frame.select(ordered)
        if self._kind == "csv":
            frame.write_csv(out)
        elif self._kind == "parquet":
            frame.write_parquet(out)
        else:
            frame.write_ipc_stream(out, compat_level=pl.CompatLevel.oldest())
        return out.getvalue()


def _last(name: str) -> int:
    """Whatever the first row was told: answers first, then what is said about them, then what was wrong."""
    return (name == "warnings") + 2 * (name == "request_id") + 3 * name.startswith("error.")


def _lines(data: bytes, signature: Signature) -> Iterator[list[Any]]:
    _text_of(data, "NDJSON")
    data, count = data.removeprefix(codecs.BOM_UTF8), 0
    for number, text in _numbered(data):
        _parsed(text, number)
        count += 1
    if count == 0:
        raise InvalidRequestError("the file has no rows", hint="Send one JSON object per line.")
    _require_fit(count, 1)
    dropped = None if _is_input(signature.target, signature) else signature.target
    return _chunked((_without(dropped, _parsed(text, number)) for number, text in _numbered(data)), count)


def _chunked(rows: Iterator[Any], count: int) -> Iterator[list[Any]]:
    return (list(islice(rows, CHUNK_ROWS)) for _ in range(0, count, CHUNK_ROWS))


def _numbered(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines that hold anything, with their numbers."""
    return ((number, text) for number, text in enumerate(io.BytesIO(data), 1) if not text.isspace())


def _parsed(text: bytes, number: int) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        what = f"line {number} of the NDJSON file is not JSON: {error}"
        raise InvalidRequestError(what, hint="Send one JSON object per line.") from error


def _without(name: str | None, row: Any) -> Any:
    if isinstance(row, dict):
        row.pop(name, None)
    return row


def _text_of(data: bytes, kind: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidRequestError(f"line {line} of the {kind} file is not UTF-8", hint="Save it as UTF-8.") from error


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


def _require_inputs(names: Sequence[str], signature: Signature) -> None:
    """Refuse a file that has none of the columns as a whole, rather than row by row."""
    if signature.inputs.names and not set(names) & set(signature.inputs.names):
        what = "no column of the CSV file is an input of the model"
        hint = f"Inputs: {', '.join(signature.inputs.names)}; cells are separated by commas."
        raise InvalidRequestError(what, value=", ".join(names)[:200], hint=hint[:1000])


def _require_fit(rows: int, columns: int) -> None:
    if rows > MAX_ROWS or rows * columns > MAX_CELLS:
        raise TooManyRowsError(f"{rows:,} rows of {columns:,} columns")


def _broken(kind: str, error: BaseException) -> InvalidRequestError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InvalidRequestError(f"the {kind} cannot be read: {reason}"[:300], hint="Is the Content-Type the right one?")


def _is_input(name: str, signature: Signature) -> bool:
    return name in signature.inputs.names


def _reader_of(kind: str) -> Callable[[str], Any]:
    if kind.startswith(("int", "uint")):
        return lambda text: int(text) if _is_whole(text) else _number(text)
    if kind.startswith(("float", "decimal")):
        return _number
    if kind == "bool":
        return lambda text: {"true": True, "false": False, "1": True, "0": False}.get(text.strip().lower(), text)
    return _as_it_is


def _is_whole(text: str) -> bool:
    """Whether it is digits with a sign; of thousands of them Python would make no number."""
    digits = text.strip()
    digits = digits[1:] if digits[:1] in ("+", "-") else digits
    return digits.isdecimal() and len(digits) <= 400


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:  # the validator says what it should have been
        return text


def _as_it_is(text: str) -> str:
    return text
