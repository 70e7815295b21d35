"""An option that what reads a source would ignore must be refused: its user believes that it did something."""

from __future__ import annotations

import pytest

from tidemill.core.errors import ConfigError
from tidemill.data.read import resolve_source
from tidemill.data.sources.source import FILE_OPTIONS, Source


@pytest.mark.parametrize(
    ("uri", "options", "reader"),
    [
        ("a.parquet", {"separator": ";"}, "parquet"),
        ("a.csv", {"rows": "div"}, "csv"),
        ("a.csv", {"sheet": "January"}, "csv"),
        ("a.ndjson", {"separator": ";"}, "ndjson"),
        ("sqlite:///a.db", {"table": "t", "schema": {"a": "string"}}, "sql"),
        ("http://127.0.0.1:1/api", {"records": "data", "separator": ";"}, "rest"),
        ("http://127.0.0.1:1/page", {"rows": "p", "fields": {"t": "b"}, "auth": {}}, "html"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused_before_anything_is_read(tmp_path, uri, options, reader):
    (tmp_path / uri.rpartition("/")[2]).write_text("a\n1\n")
    ignored = "separator" if "separator" in options else "auth" if "auth" in options else list(options)[-1]
    with pytest.raises(ConfigError, match=rf"has options that are not for {reader}: \['{ignored}'\]"):
        resolve_source(Source("s", uri, options=options), root=tmp_path, sources={})


def test_every_option_of_files_is_for_some_format():
    from tidemill.data.sources import applicable

    formats = ("csv", "ndjson", "json", "parquet", "ipc", "excel")
    assert set(FILE_OPTIONS) <= set().union(*(applicable._TAKEN[name] for name in formats))
