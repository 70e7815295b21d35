"""A CSV file must become the same table in one block or in many, and what is wrong must be said by line or row."""

from __future__ import annotations

import csv
import io
import warnings
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.errors import ConfigError, DataError, SchemaError
from tidemill.data.read import read, resolve_source, scan_source
from tidemill.data.sources import csv_kept, formats
from tidemill.data.sources.csv import read_csv
from tidemill.data.sources.csv_blocks import Text, is_whole
from tidemill.project import load_project, use_project


def in_blocks(data: bytes, folder: Path, size: int | None, **options) -> pl.DataFrame:
    """Read in blocks of about `size` bytes, kept as Arrow in `folder`; in one and in memory if it is None."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_kept.OnDisk, "block_size", size)
        return read_csv(data, options, None, file="f.csv", folder=folder if size else None).collect()


def written(rows: list[tuple], names: list[str]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return out.getvalue().encode()


CELLS = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr),
    st.sampled_from(
        ["", "true", "False", "2013-01-01", "2013-01-01T10:00:00", "2013-02-30", "2013-01-01 10:00:00+02:00"]
    ),
    st.text(st.sampled_from('ab, "\n;é1.'), min_size=1, max_size=6).filter(str.strip),
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, st.integers(0, 99).map(str)), min_size=1, max_size=30),
    size=st.integers(8, 200),
)
def test_blocks_change_nothing(tmp_path_factory, rows, size):
    data = written(rows, ["a", "b", "id"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a column turned into text
        whole = read_csv(data, {}, None).collect()
        parts = in_blocks(data, tmp_path_factory.mktemp("kept") / "table", size)
    assert parts.to_dict(as_series=False) == whole.to_dict(as_series=False)
    assert whole.height == len(rows)
    assert whole["id"].to_list() == [int(row[2]) for row in rows]
    for position, name in ((0, "a"), (1, "b")):
        if whole[name].dtype == pl.String:  # text is as it was written
            assert whole[name].fill_null("").to_list() == [row[position] for row in rows]


def test_every_type_comes_out_of_blocks_as_of_one(tmp_path):
    moment = "2013-01-0{}T10:00:00"
    rows = [
        (n, n + 0.5 if n == 9 else n, None if n < 7 else n, n % 2 == 0, f"2013-01-0{n}", moment.format(n),
         moment.format(n) + "+02:00", "x" if n == 8 else n, f"Zü, \n{n}")
        for n in range(1, 10)
    ]  # fmt: skip
    data = written(rows, ["int", "wider", "late", "bool", "date", "time", "utc", "turned", "text"])
    with pytest.warns(UserWarning, match=r"column 'turned' of f\.csv is read as text, because row 8 has 'x'"):
        table = in_blocks(data, tmp_path / "t", 150, infer_rows=2)
    assert len(list((tmp_path / "t").iterdir())) > 3
    assert table.schema == {
        "int": pl.Int64, "wider": pl.Float64, "late": pl.Int64, "bool": pl.Boolean, "date": pl.Date,
        "time": pl.Datetime("us"), "utc": pl.Datetime("us", "UTC"), "turned": pl.String, "text": pl.String,
    }  # fmt: skip
    assert table.row(8) == (
        9, 9.5, 9, False, date(2013, 1, 9), datetime(2013, 1, 9, 10), datetime(2013, 1, 9, 8, tzinfo=UTC),
        "9", "Zü, \n9",
    )  # fmt: skip
    assert table["turned"].to_list() == ["1", "2", "3", "4", "5", "6", "7", "x", "9"]
    assert table["late"].to_list() == [None] * 6 + [7, 8, 9]


def test_a_file_larger_than_memory_may_be_is_kept_as_arrow_and_read_once(tmp_path, monkeypatch):
    (tmp_path / "f.csv").write_text("a,b\n" + "".join(f"{n},text {n}\n" for n in range(1000)))
    monkeypatch.setattr(formats, "IN_MEMORY", 1000)
    monkeypatch.setattr(csv_kept.OnDisk, "block_size", 1000)

    def load(**selection) -> pl.LazyFrame:
        return scan_source(resolve_source("f.csv", root=tmp_path, sources={}), root=tmp_path, **selection)

    frame = load()
    kept = sorted(tmp_path.rglob("*.arrow"))
    assert len(kept) > 10
    assert frame.select(pl.col("a").sum()).collect().item() == 499_500
    assert load(where="a >= 998", columns=["b"]).collect()["b"].to_list() == ["text 998", "text 999"]
    monkeypatch.setattr(formats, "opened", lambda path, *rest: path)
    monkeypatch.setattr("tidemill.data.sources.csv.Text", None)  # nothing parses it again
    assert load().collect().height == 1000
    assert not list(tmp_path.rglob("tmp-*"))


def test_a_large_file_that_cannot_be_read_leaves_nothing(tmp_path):
    data = b"a,b\n" + b"1,2\n" * 100 + b"1,2,3\n"
    with pytest.raises(DataError, match=r"line 102: 3 fields, not 2"):
        in_blocks(data, tmp_path / "kept" / "t", 50)
    assert list((tmp_path / "kept").iterdir()) == []


def lines(count: int, *tail: str) -> bytes:
    return ("id,miles,note\n" + "".join(f"{n},{n * 2},fine\n" for n in range(count)) + "".join(tail)).encode()


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ("7,8\n", r"line 5,002: 2 fields, not 3: '7,8'"),
        ("7,\n", r"line 5,002: 2 fields, not 3"),
        ("7,8,a,b\n", r"line 5,002: 4 fields, not 3"),
        ('7,8,"never closed\n1,2,x\n', r"line 5,002: a quote is not closed"),
        ('7,"8\n', r"line 5,002: a quote is not closed"),
        ('"7\n",8,x\n9,10\n', r"line 5,004: 2 fields, not 3"),
    ],
)
@pytest.mark.parametrize("size", [None, 4096])
def test_a_line_with_too_few_or_too_many_fields_is_named(tmp_path, tail, words, size):
    """Polars fills up short lines without a word."""
    with pytest.raises(DataError, match=words):
        in_blocks(lines(5000, tail), tmp_path / "t", size)


def test_empty_lines_are_no_rows_and_empty_last_fields_are_no_short_lines():
    data = b'\n\na,b,c\n1,2,\n\n3,"x,\ny",\n"4",,""\n5,6,NA\n\n'
    table = read_csv(data, {"null_values": ["NA"]}, None).collect()
    assert table["a"].to_list() == [1, 3, 4, 5]
    assert table["b"].to_list() == ["2", "x,\ny", None, "6"]
    assert read_csv(b"a\n1\n\n3\n", {}, None).collect()["a"].to_list() == [1, None, 3]  # here it is a missing value


@given(
    st.lists(st.lists(st.sampled_from(["", "x", '"a,\nb"', '""""']), min_size=1, max_size=4), min_size=1, max_size=6)
)
def test_short_lines_are_told_by_counting(rows):
    text = "".join(",".join(row) + "\n" for row in rows).encode()
    total = sum(len(row) - 1 for row in rows)
    assert is_whole(text, len(rows), 3, ",", '"') is (total == 2 * len(rows))


def test_a_column_that_changes_its_type_at_row_900_000(tmp_path):
    """Said with row and value; with a fixed type it is an error."""
    path = tmp_path / "f.csv"
    with path.open("w") as out:
        out.write("id,miles\n")
        out.writelines(f"{n},{n}\n" for n in range(1, 900_000))
        out.write("900000,far\n900001,7\n")
    with pytest.warns(UserWarning, match=r"column 'miles' of f\.csv is read as text, because row 900,000 has 'far'"):
        table = read_csv(path, {}, None).collect()
    assert table.schema == {"id": pl.Int64, "miles": pl.String}
    with pytest.raises(
        SchemaError, match=r"column 'miles' of f\.csv does not hold .* int64: row 900,000 has another: 'far'"
    ):
        read_csv(path, {"schema": {"miles": "int64"}}, None)
    assert read_csv(path, {"null_values": ["far"]}, None).collect()["miles"].null_count() == 1


@pytest.mark.parametrize(
    ("encoding", "likely"),
    [
        ("cp1252", "cp1252"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
    ],
)
def test_another_encoding_is_recognised_and_the_line_named(tmp_path, encoding, likely):
    (tmp_path / "f.csv").write_bytes(("town,seats\n" + "Bonn,1\n" * 3000 + "Zürich,12\n").encode(encoding))
    line = "3,002 has the byte 0xfc" if encoding == "cp1252" else "1 begins with"
    with pytest.raises(DataError, match=rf"f\.csv is not encoded as UTF-8: line {line}.*encoding = \"{likely}\""):
        read_csv(tmp_path / "f.csv", {}, None)
    raw = {"uri": "f.csv", "encoding": likely}
    resolved = resolve_source("s", root=tmp_path, sources={"s": raw})
    assert scan_source(resolved, root=tmp_path).collect()["town"][-1] == "Zürich"


def test_a_header_of_another_encoding_is_an_error_and_not_a_broken_name():
    with pytest.raises(DataError, match=r"line 1 has the byte 0xfc: 'Zürich,b'"):
        read_csv("Zürich,b\n1,2\n".encode("cp1252"), {}, None)


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_the_separator_is_seen_where_it_is_not_said(sign):
    data = f'town{sign}seats\n"Bonn{sign} am Rhein"{sign}1,5\nKiel{sign}2,25\n'.encode()
    assert read_csv(data, {"decimal": ","}, None).collect().rows() == [(f"Bonn{sign} am Rhein", 1.5), ("Kiel", 2.25)]
    assert read_csv(b"a,b\n1;2,3\n", {}, None).collect().columns == ["a", "b"]
    assert read_csv(b"note\nx;y\nz\n", {}, None).collect()["note"].to_list() == ["x;y", "z"]


def test_numbers_in_another_notation():
    data = b"whole;share;code;mixed\n1.234;0,5;1.2;1,5\n-12.345.678;-1.000,25;3.4;x\n7;,75;5.6;2\n"
    table = read_csv(data, {"decimal": ",", "thousands": "."}, None).collect()
    assert table["whole"].to_list() == [1234, -12345678, 7]
    assert table["share"].to_list() == [0.5, -1000.25, 0.75]
    assert table["code"].to_list() == ["1.2", "3.4", "5.6"]  # no number has its thousands there
    assert table["mixed"].to_list() == ["1,5", "x", "2"]
    fixed = read_csv(data, {"decimal": ",", "thousands": ".", "schema": {"whole": "int64"}}, ["whole"]).collect()
    assert fixed.schema == {"whole": pl.Int64}
    with pytest.raises(SchemaError, match="row 2 has another: 'x'"):
        read_csv(data, {"decimal": ",", "thousands": ".", "schema": {"mixed": "float64"}}, None)
    with pytest.raises(ConfigError, match="two signs of the CSV file are the same"):
        read_csv(b"a,b\n", {"separator": ",", "decimal": ","}, None)
    with pytest.raises(ConfigError, match="separator is not one ASCII character: '::'"):
        read_csv(b"a,b\n", {"separator": "::"}, None)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty: 'f.csv'"),
        (b"\n\n", "the file is empty"),
        (b"# only\n# notes\n", "the file is empty"),
        (b"PK\x03\x04\0\0packed", r"f\.csv is no text: line 1 begins with b'PK"),
        (b"a,b\r1,2\r", "ends its lines with a carriage return alone"),
        (b"a,b\n1,2\n3\n", "line 3: 1 field, not 2"),
    ],
)
def test_files_that_are_none(data, words):
    with pytest.raises(DataError, match=words):
        read_csv(data, {"comment": "#"}, None, file="f.csv")


def test_a_header_alone_a_mark_of_order_and_windows_line_ends():
    assert read_csv(b"a,b\n", {}, None).collect().schema == {"a": pl.String, "b": pl.String}
    assert read_csv(b"a,b", {"schema": {"b": "date"}}, None).collect().schema == {"a": pl.String, "b": pl.Date}
    assert read_csv(b"\xef\xbb\xbfa,b\r\n1,x\r\n2,\r\n", {}, None).collect().rows() == [(1, "x"), (2, None)]
    assert read_csv(b"1,x\n2,y", {"header": False}, None).collect().to_dict(as_series=False) == {
        "column_1": [1, 2],
        "column_2": ["x", "y"],
    }


def test_comments_anywhere():
    data = b"# one\na,b\n# two\n1,\n#, three\n2,x\n"
    assert read_csv(data, {"comment": "#"}, None).collect().rows() == [(1, None), (2, "x")]


def test_whole_numbers_of_any_length_keep_their_digits():
    data = b"card,id\n12345678901234567890123,1\n1,2\n"
    assert read_csv(data, {}, None).collect()["card"].to_list() == ["12345678901234567890123", "1"]


def test_ten_thousand_columns(tmp_path):
    names = [f"c{number}" for number in range(10_000)]
    row = ",".join(str(number) for number in range(10_000))
    data = (",".join(names) + "\n" + f"{row}\n" * 20).encode()
    table = read_csv(data, {}, None).collect()
    assert table.shape == (20, 10_000)
    assert table.dtypes == [pl.Int64] * 10_000
    assert read_csv(data, {}, ["c9999", "c0"]).collect().row(0) == (0, 9999)
    with pytest.raises(SchemaError, match=r"lacks columns: \['gone'\]. It has: c0, .* and 9,950 more"):
        read_csv(data, {}, ["gone"])


def test_a_text_in_one_block_or_more_is_cut_where_records_end():
    text = b'1,"a\nb"\n2,c\n3,"d\n\n"\n'
    for size in range(1, len(text) + 1):
        with_blocks = Text(text)
        found = [with_blocks.cut(block.start, block.end) for block in with_blocks.blocks(0, '"', size)]
        assert b"".join(found) == text
        assert {part.count(b'"') % 2 for part in found} == {0}
        assert all(part.endswith(b"\n") for part in found)


def test_a_run_is_told_of_a_column_that_turned(tmp_path):
    (tmp_path / "f.csv").write_text("a\n" + "1\n" * 300 + "x\n")
    with use_project(load_project(tmp_path)), pytest.warns(UserWarning, match="row 301 has 'x'"):
        assert read("f.csv").collect().height == 301
