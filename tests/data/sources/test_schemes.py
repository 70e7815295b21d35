"""A package that somebody else wrote must be able to bring a scheme of its own, for files and for tables."""

from __future__ import annotations

import pytest

from tidemill.core.errors import ConfigError
from tidemill.data.read import resolve_source, scan_source
from tidemill.data.sources.schemes import connector_of, scheme_of
from tidemill.data.sources.source import Source

MODULE = """
import polars as pl
from tidemill.data.sources.source import SourceFile

def locate(uri, root):
    return [root / (uri.removeprefix("shelf://") + ".csv")]

class Numbers:
    def pin(self, source, root, selection, window):
        return (SourceFile(source.uri, 0, "d"),), window

    def scan(self, resolved, root, selection):
        return pl.LazyFrame({"n": range(int(resolved.source.uri.removeprefix("numbers://")))})

numbers = Numbers()
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution with two entry points, as pip would leave it."""
    site = tmp_path / "site"
    info = site / "shelf_of_the_tests-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shelf-of-the-tests\nVersion: 1.0\n")
    entries = "shelf = shelf_of_the_tests:locate\nnumbers = shelf_of_the_tests:numbers\n"
    (info / "entry_points.txt").write_text(f"[tidemill.sources]\n{entries}")
    (site / "shelf_of_the_tests.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(site))


def test_a_package_brings_schemes(tmp_path, installed):
    (tmp_path / "books.csv").write_text("x\n1\n")
    pinned = resolve_source("shelf://books", root=tmp_path, sources={})
    assert scan_source(pinned, root=tmp_path).collect()["x"].to_list() == [1]
    pinned = resolve_source("numbers://5", root=tmp_path, sources={})
    assert scan_source(pinned, root=tmp_path, where="n > 2").collect()["n"].to_list() == [3, 4]


def test_a_scheme_that_nothing_reads_is_named_with_those_that_are_known(tmp_path):
    with pytest.raises(ConfigError, match=r"no source reads the scheme 'gopher'\. Use a path or one of .*duckdb.*s3"):
        resolve_source("gopher://host/f.csv", root=tmp_path, sources={})


def test_a_web_address_is_a_file_or_an_api_by_what_is_declared():
    assert connector_of(Source("s", "https://host/f.csv")) is None
    assert connector_of(Source("s", "https://host", format="rest")) is not None
    assert connector_of(Source("s", "https://host", options={"resource": "orders"})) is not None
    assert scheme_of("C:/data/f.csv") == ""
