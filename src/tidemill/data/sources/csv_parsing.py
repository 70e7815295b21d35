"""One block of a CSV file through Polars's parser, and what is wrong with one that it does not take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.errors import DataError, SchemaError
from tidemill.data.sources.bad_lines import UNDECODED, BadLine, good_csv
from tidemill.data.sources.csv_blocks import Block, Text, is_whole
from tidemill.data.sources.csv_types import as_type, plain_numbers
from tidemill.data.sources.dialect import Dialect, Header
from tidemill.data.sources.encodings import not_utf8
from tidemill.data.types import physical_type

_FILL = "c"
#: What types are guessed from, at most; how often a block is read with one more column as text.
_SAMPLE, _TRIALS = 4 << 20, 4
_CULPRIT = re.compile(r"at column '(column_\d+)'")


class Parser:
    """Parses blocks of one file, all with one header and dialect."""

    def __init__(self, text: Text, dialect: Dialect, header: Header, file: str) -> None:
        self.text, self.dialect, self.header, self.file = text, dialect, header, file
        self._places = {name: f"column_{number}" for number, name in enumerate(header.names, start=1)}
        self._first_line = dialect.separator.join(self._places.values()).encode() + b"\n"
        #: The last block that had empty lines, and its text without them.
        self._cleaned: tuple[Block, bytes] | None = None

    def likely_types(self, rows: int) -> dict[str, pl.DataType]:
        """The types that the first rows suggest."""
        start = self.header.start
        end = self.text.record_end(start, min(len(self.text), start + _SAMPLE), self.dialect.quote)
        data = self._without_comments(self.text.cut(start, end, self._first_line))
        try:
            frame = self._read(data, infer_schema_length=rows, n_rows=rows)
        except pl.exceptions.PolarsError:  # it will be read as text, and its types looked for there
            return {}
        return dict(zip(self.header.names, frame.dtypes, strict=False))

    def typed(self, block: Block, types: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """Some columns of a block as these types, or as text where a value is not of its type.

        Raises
        ------
        DataError
            If a line has too many or too few fields, or bytes that are no text.
        """
        names = self.header.names
        schema = {place: types.get(name, pl.String()) for name, place in self._places.items()}
        wanted = [place for name, place in self._places.items() if name in types or name == names[-1]]
        frame = self._tried(block, schema, wanted)
        if not self._is_whole(frame, block):
            self._cleaned = (block, _without_empty_lines(self, block))
            frame = self._tried(block, schema, wanted)
        frame.columns = [names[int(place.removeprefix("column_")) - 1] for place in frame.columns]
        return frame if names[-1] in types else frame.drop(names[-1])

    def _tried(self, block: Block, schema: dict[str, pl.DataType], wanted: list[str]) -> pl.DataFrame:
        for _ in range(_TRIALS):
            try:
                return self._read_block(block, schema=schema, columns=wanted)
            except pl.exceptions.PolarsError as error:
                found = _CULPRIT.search(str(error))
                if found is None or schema.get(found[1], pl.String()) == pl.String():
                    break
                schema[found[1]] = pl.String()
        try:
            return self._read_block(block, schema=dict.fromkeys(schema, pl.String()), columns=wanted)
        except pl.exceptions.PolarsError as error:
            raise unparsable(self, block) from error

    def as_fixed(self, column: pl.Series, kind: pl.DataType, before: int) -> pl.Series:
        """A column as the type that the option ``schema`` fixes; SchemaError names the row of a value that is not."""
        if column.dtype == kind:
            return column
        values = as_type(column, kind, self.dialect.decimal, self.dialect.thousands)
        if values.null_count() != column.null_count():
            row = int((values.is_null() & column.is_not_null()).arg_max() or 0)
            raise SchemaError(
                f"column {column.name!r} of {self.file} does not hold values of its declared type, "
                f"{physical_type(kind)}: row {before + row + 1:,} has another",
                value=column[row],
                hint='Correct the schema option, add the value to null_values, or set bad_lines = "quarantine".',
            )
        return values

    def plain_numbers(self, column: pl.Series) -> pl.Series:
        """A text column with its numbers as Polars reads them; what is none in this dialect is ``"?"``."""
        return plain_numbers(column, self.dialect.decimal, self.dialect.thousands)

    def _read_block(self, block: Block, **how: Any) -> pl.DataFrame:
        if self._cleaned is not None and self._cleaned[0] == block:
            return self._read(self._first_line + self._cleaned[1], **how)
        is_all = block.start == self.header.start and block.end == len(self.text)
        if is_all and self.text.path is not None and not self.dialect.comment:  # nothing is copied
            return self._read(self.text.path, has_header=False, skip_lines=self.header.line - 1, glob=False, **how)
        return self._read(self._without_comments(self.text.cut(block.start, block.end, self._first_line)), **how)

    def _read(self, data: Path | bytes, **how: Any) -> pl.DataFrame:
        return pl.read_csv(
            data,
            separator=self.dialect.separator,
            quote_char=self.dialect.quote or None,
            null_values=list(self.dialect.null_values),
            encoding="utf8-lossy" if self.dialect.is_lossy else "utf8",
            **how,
        )

    def _without_comments(self, data: bytes) -> bytes:
        comment = (self.dialect.comment or "").encode()
        return (
            re.sub(rb"(?m)^" + re.escape(comment) + rb"[^\n]*(\n|\Z)", b"", data)
            if comment and comment in data
            else data
        )

    def _is_whole(self, frame: pl.DataFrame, block: Block) -> bool:
        width = len(self.header.names)
        if width == 1 or frame.is_empty() or frame.to_series(-1).null_count() == 0:
            return True
        if self.dialect.comment:
            data: bytes | memoryview = self._without_comments(self.text.cut(block.start, block.end))
        else:
            data = self.text.view(block.start, block.end)
        return is_whole(data, frame.height, width, self.dialect.separator, self.dialect.quote)


def unparsable(parser: Parser, block: Block) -> DataError:
    """What is wrong with a block whose text no types fit."""
    data = parser.text.cut(block.start, block.end)
    line = parser.text.line_of(block.start)
    bad = _good(parser, data)[1]
    if bad and not bad[0].reason.startswith(UNDECODED):
        return _refused(parser, line, bad[0])
    if not parser.dialect.is_lossy:
        not_utf8(data, parser.file, first_line=line)
    return DataError(f"{parser.file} cannot be read as csv from line {line:,} on", hint="Check separator and quote.")


def _without_empty_lines(parser: Parser, block: Block) -> bytes:
    """A block whose fields do not add up: empty lines are left out, anything else is an error."""
    good, bad = _good(parser, parser.text.cut(block.start, block.end))
    if bad:
        raise _refused(parser, parser.text.line_of(block.start), bad[0])
    return good


def _good(parser: Parser, data: bytes) -> tuple[bytes, list[BadLine]]:
    dialect = parser.dialect
    header = dialect.separator.join(_FILL * len(parser.header.names)).encode() + b"\n"
    how = {"separator": dialect.separator, "quote": dialect.quote, "comment": dialect.comment}
    good, bad = good_csv(header + data, how, parser.file)
    return good.removeprefix(header), bad


def _refused(parser: Parser, first_line: int, bad: BadLine) -> DataError:
    return DataError(
        f"{parser.file} cannot be read as csv: line {first_line + bad.line - 2:,}: {bad.reason}",
        value=bad.text[:80],
        hint='Correct the file or its dialect, or set bad_lines = "quarantine" to leave such lines out.',
    )
