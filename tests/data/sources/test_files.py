"""Whatever a team's files look like (packed, split into folders, of old encodings), they must become the same table."""

from __future__ import annotations

import gzip
import zipfile
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from tidemill.core.errors import ConfigError, DataError, MissingExtraError, SchemaError
from tidemill.data.read import resolve_source, scan_source
from tidemill.data.sources import formats

CSV = "town,seats\nZürich,12\nKøge,7\n"
EXPECTED = [("Zürich", 12), ("Køge", 7)]


def load(root: Path, raw: dict, **selection) -> pl.DataFrame:
    return scan_source(resolve_source("s", root=root, sources={"s": raw}), root=root, **selection).collect()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le", "cp865"])
def test_a_csv_of_any_encoding_packed_in_any_way(tmp_path, encoding):
    raw = CSV.encode(encoding)
    (tmp_path / "f.csv").write_bytes(raw)
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "f.csv.zst").write_bytes(pa.compress(raw, codec="zstd", asbytes=True))
    (tmp_path / "f.tsv").write_bytes(CSV.replace(",", "\t").encode(encoding))
    for name in ("f.csv", "f.csv.gz", "f.csv.zst", "f.tsv"):
        assert load(tmp_path, {"uri": name, "encoding": encoding}).rows() == EXPECTED, name


def test_json_lines_packed_with_zstandard_and_of_an_old_encoding(tmp_path):
    lines = '{"town": "Zürich", "seats": 12}\n{"town": "Køge", "seats": 7}\n'
    (tmp_path / "f.ndjson.zst").write_bytes(pa.compress(lines.encode(), codec="zstd", asbytes=True))
    (tmp_path / "old.ndjson").write_bytes(lines.encode("cp1252"))
    assert load(tmp_path, {"uri": "f.ndjson.zst"}).rows() == EXPECTED
    assert load(tmp_path, {"uri": "old.ndjson", "encoding": "cp1252"}).rows() == EXPECTED


def test_a_wrong_encoding_names_the_line(tmp_path):
    (tmp_path / "f.csv").write_bytes(b"town,seats\nBonn,1\nK\x81ge,7\n")
    with pytest.raises(DataError, match=r"f\.csv is not encoded as cp1252: line 3 has b'\\x81'"):
        load(tmp_path, {"uri": "f.csv", "encoding": "cp1252"})
    with pytest.raises(ConfigError, match="no such encoding"):
        load(tmp_path, {"uri": "f.csv", "encoding": "klingon"})


def test_column_names_that_occur_twice_are_refused(tmp_path):
    (tmp_path / "f.csv").write_text("a,b,a\n1,2,3\n")
    with pytest.raises(SchemaError, match=r"f\.csv names columns twice: columns 'a' in 1 and 3"):
        load(tmp_path, {"uri": "f.csv"})


def test_folders_that_name_columns_become_columns(tmp_path):
    for year, month in ((2013, "01"), (2013, "02"), (2014, "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / "flights" / f"year={year}" / f"month={month}"
        folder.mkdir(parents=True)
        pl.DataFrame({"n": [year]}).write_parquet(folder / "part-0.parquet")
        (folder / "_SUCCESS").touch()
    for uri in ("flights", "flights/", "flights/**/*.parquet"):
        table = load(tmp_path, {"uri": uri})
        assert table.rows() == [(2013, 2013, 1), (2013, 2013, 2), (2014, 2014, None)], uri
    assert load(tmp_path, {"uri": "flights"}, columns=["n"], where="month = 2").rows() == [(2013,)]
    assert load(tmp_path, {"uri": "flights", "partitions": False}).columns == ["n"]
    assert load(tmp_path, {"uri": "flights/year=2013/month=01/part-0.parquet"}).columns == ["n"]


def test_dates_in_folder_names_are_dates_and_move_the_fingerprint(tmp_path):
    folder = tmp_path / "d" / "day=2013-01-01"
    folder.mkdir(parents=True)
    (folder / "f.csv").write_text("x\n1\n")
    first = resolve_source("d", root=tmp_path, sources={})
    assert scan_source(first, root=tmp_path).collect().rows() == [(1, date(2013, 1, 1))]
    folder.rename(tmp_path / "d" / "day=2013-01-02")
    assert resolve_source("d", root=tmp_path, sources={}).fingerprint != first.fingerprint


def test_files_partitioned_differently_are_refused(tmp_path):
    for folder in ("year=2013", "month=1"):
        (tmp_path / "d" / folder).mkdir(parents=True)
        (tmp_path / "d" / folder / "f.csv").write_text("x\n1\n")
    with pytest.raises(DataError, match=r"partitioned by different columns: \['month', 'year'\]"):
        load(tmp_path, {"uri": "d"})


def test_a_spreadsheet(tmp_path):
    """Without the package the message must name the extra; with it the sheets must be read."""
    try:
        import fastexcel  # noqa: F401
        import xlsxwriter
    except ImportError:
        (tmp_path / "f.xlsx").write_bytes(b"")
        with pytest.raises(MissingExtraError, match=r"tidemill\[excel\]"):
            load(tmp_path, {"uri": "f.xlsx"})
        return
    with xlsxwriter.Workbook(tmp_path / "f.xlsx") as book:
        pl.DataFrame({"x": [1]}).write_excel(book, "notes")
        pl.DataFrame({"town": ["Bonn", "NA"], "seats": [1.5, 2.0]}).write_excel(book, "towns")
    raw = {"uri": "f.xlsx", "sheet": "towns", "null_values": ["NA"]}
    assert load(tmp_path, raw).rows() == [("Bonn", 1.5), (None, 2.0)]
    assert load(tmp_path, {"uri": "f.xlsx"}).rows() == [(1,)]
    with pytest.raises(DataError, match=r"no such sheet: 'gone'\. It has: notes, towns"):
        load(tmp_path, {**raw, "sheet": "gone"})
    with pytest.raises(SchemaError, match="lacks columns"):
        load(tmp_path, raw, columns=["gone"])
    (tmp_path / "bad.xlsx").write_bytes(b"no")
    with pytest.raises(DataError, match="not a spreadsheet"):
        load(tmp_path, {"uri": "bad.xlsx"})


def files(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        (root / f"{name}.csv").write_text(text)


def test_files_of_different_columns_or_types_are_named_with_the_column(tmp_path):
    """Put together they would be a table with holes, or numbers turned into text in silence."""
    files(tmp_path, a="x,y\n1,2\n", b="y,x\n2.5,3\n", c="x,y\n4,\n")
    table = load(tmp_path, {"uri": "*.csv"})
    assert table.to_dict(as_series=False) == {"x": [1, 3, 4], "y": [2.0, 2.5, None]}
    assert table.schema == {"x": pl.Int64, "y": pl.Float64}
    files(tmp_path, d="x,y\n5,late\n")
    with pytest.raises(SchemaError, match=r"column 'y' is int64 in a\.csv and string in d\.csv\. Fix its type"):
        load(tmp_path, {"uri": "*.csv"})
    assert load(tmp_path, {"uri": "*.csv", "schema": {"y": "string"}})["y"].to_list() == ["2", "2.5", None, "late"]
    files(tmp_path, d="x,z\n5,6\n")
    with pytest.raises(SchemaError, match=r"unlike a\.csv, d\.csv lacks \['y'\], and d\.csv has \['z'\] besides"):
        load(tmp_path, {"uri": "*.csv"})
    assert load(tmp_path, {"uri": "*.csv"}, columns=["x"])["x"].to_list() == [1, 3, 4, 5]


def test_a_time_in_one_file_and_a_date_in_another_are_two_types(tmp_path):
    files(tmp_path, a="at\n2013-01-01\n", b="at\n2013-01-01T10:00:00\n")
    with pytest.raises(SchemaError, match=r"'at' is date in a\.csv and timestamp\[us\] in b\.csv"):
        load(tmp_path, {"uri": "*.csv"})


@pytest.mark.parametrize("suffix", ["gz", "zip", "zst"])
def test_a_packed_file_that_is_large_when_unpacked_is_unpacked_to_disk_once(tmp_path, monkeypatch, suffix):
    text = ("a,b\n" + "".join(f"{number},x{number}\n" for number in range(2_000))).encode()
    path = tmp_path / f"f.csv.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("f.csv", text)
    elif suffix == "zst":
        with pa.output_stream(str(path), compression="zstd") as out:
            out.write(text)
    else:
        path.write_bytes(gzip.compress(text))
    monkeypatch.setattr(formats, "IN_MEMORY", 1_000)
    for _ in range(2):
        frame = scan_source(resolve_source(str(path), root=tmp_path, sources={}), root=tmp_path).collect()
        assert frame["a"].to_list() == list(range(2_000))
    unpacked = list((tmp_path / ".tidemill").rglob("unpacked-*"))
    assert [one.read_bytes() for one in unpacked] == [text]
    assert not list((tmp_path / ".tidemill").rglob("tmp-*"))


@pytest.mark.parametrize("in_memory", [1_000, 1 << 30])
def test_an_archive_that_is_cut_off_is_named_and_leaves_nothing(tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr(formats, "IN_MEMORY", in_memory)
    rows = "".join(f"{number},{number * 7919 % 10_007}\n" for number in range(5_000))
    path = tmp_path / "f.csv.gz"
    path.write_bytes(gzip.compress(f"a,b\n{rows}".encode())[:-2_000])
    with pytest.raises(DataError, match=r"f\.csv\.gz cannot be unpacked: Compressed file ended"):
        scan_source(resolve_source(str(path), root=tmp_path, sources={}), root=tmp_path)
    assert not list(tmp_path.rglob("unpacked-*"))
    assert not list(tmp_path.rglob("tmp-*"))


def test_a_folder_of_several_formats_is_no_table(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.csv").write_text("x\n1\n")
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "d" / "b.parquet")
    with pytest.raises(ConfigError, match=r"has files of several formats: .*a\.csv.*b\.parquet"):
        resolve_source("d", root=tmp_path, sources={})


def test_the_password_of_an_address_that_is_read_without_a_declaration_is_not_its_name(tmp_path):
    with pytest.raises(DataError) as caught:
        resolve_source("http://ann:s3cret@127.0.0.1:1/f.csv?token=abcd", root=tmp_path, sources={})
    assert "s3cret" not in str(caught.value)
    assert "abcd" not in str(caught.value)
