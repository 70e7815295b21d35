"""One broken line must cost that line, say why, and be found again; the rows around it must survive."""

from __future__ import annotations

import polars as pl
import pytest

from tidemill.core.errors import ConfigError, DataError
from tidemill.data.read import bad_lines, read, resolve_source, scan_source, source_info
from tidemill.data.sources.bad_lines import BadLine, good_csv
from tidemill.data.sources.source import Source, parse_source
from tidemill.project import load_project, use_project

RAGGED = (
    b"dest,note,miles\n"
    b"IAH,fine,1400\n"
    b"MIA,too,many,1089\n"
    b'SJU,"two\nlines",1598\n'
    b"BQN\n"
    b"\n"
    b"STT,\xff\xfe,1623\n"
    b'PSE,"never closed,1617\n'
    b"ATL,fine,762\n"
    b"ORD,fine,far\n"
)
RAW = {"uri": "f.csv", "bad_lines": "quarantine", "schema": {"miles": "int64"}}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "f.csv").write_bytes(RAGGED)
    return tmp_path


def test_good_rows_survive_and_bad_lines_are_kept_with_their_reasons(root):
    bad: list[BadLine] = []
    resolved = resolve_source("s", root=root, sources={"s": RAW})
    table = scan_source(resolved, root=root, bad=bad).collect()
    assert table.rows() == [("IAH", "fine", 1400), ("SJU", "two\nlines", 1598), ("ATL", "fine", 762)]
    assert [(item.line, item.reason) for item in bad] == [
        (3, "4 fields, not 3"),
        (6, "1 field, not 3"),
        (8, "not of the declared encoding: byte 0xff"),
        (9, "a quote is not closed"),
        (11, "miles is 'far', not int64"),
    ]
    assert bad[0].text == "MIA,too,many,1089"
    assert source_info("s", root=root, sources={"s": RAW}).bad_lines == 5


def test_without_quarantine_the_same_file_is_refused(root):
    with pytest.raises(DataError, match=r"f\.csv cannot be read as csv"):
        scan_source(resolve_source("s", root=root, sources={"s": {"uri": "f.csv"}}), root=root)


def test_reading_says_how_many_lines_were_left_out(root):
    source = Source("s", "f.csv", options=parse_source("s", RAW).options)
    with use_project(load_project(root)):
        with pytest.warns(UserWarning, match=r"5 bad lines of source 's' were left out, such as line 3 of f\.csv"):
            assert read(source).collect().height == 3
        table = bad_lines(source)
    assert table.columns == ["file", "line", "reason", "text"]
    assert table["line"].to_list() == [3, 6, 8, 9, 11]


def test_json_lines(tmp_path):
    (tmp_path / "f.ndjson").write_bytes(b'{"a": 1}\n{"a": 2\n[3]\n\n{"a": 4}\nnull\n')
    bad: list[BadLine] = []
    resolved = resolve_source("s", root=tmp_path, sources={"s": {"uri": "f.ndjson", "bad_lines": "quarantine"}})
    assert scan_source(resolved, root=tmp_path, bad=bad).collect()["a"].to_list() == [1, 4]
    assert [item.line for item in bad] == [2, 3, 6]
    assert bad[0].reason.startswith("not JSON: Expecting")


def test_a_line_of_json_that_is_none_is_named(tmp_path):
    (tmp_path / "f.ndjson").write_bytes(b'{"a": 1}\n{"a":\n')
    with pytest.raises(DataError, match=r"f\.ndjson cannot be read as ndjson: line 2: not JSON: Expecting value"):
        scan_source(resolve_source("f.ndjson", root=tmp_path, sources={}), root=tmp_path)


def test_a_file_without_bad_lines_is_not_changed():
    good = b'a,b\n1,"x, y"\n2,"say ""so"""\n'
    assert good_csv(good, {}, "f") == (good, [])
    assert pl.read_csv(good_csv(good.replace(b"\n", b"\r\n"), {}, "f")[0])["a"].to_list() == [1, 2]


def test_a_wrong_choice_is_named():
    with pytest.raises(ConfigError, match="bad_lines must be 'fail' or 'quarantine': 'skip'"):
        parse_source("s", {"uri": "f.csv", "bad_lines": "skip"})


def test_a_fixed_type_is_read_in_the_notation_of_the_file():
    """Else every line of a file with decimal commas is put aside."""
    options = {"decimal": ",", "thousands": ".", "schema": {"fee": "float64", "paid": "bool"}}
    data = b"fee;paid\n1.234,5;true\n1234,5;FALSE\n12.34,5;true\nx;false\n1,0;maybe\n"
    good, bad = good_csv(data, options, "f.csv")
    assert good == b"fee;paid\n1.234,5;true\n1234,5;FALSE\n"
    assert [(line.line, line.reason) for line in bad] == [
        (4, "fee is '12.34,5', not float64"), (5, "fee is 'x', not float64"), (6, "paid is 'maybe', not bool"),
    ]  # fmt: skip
