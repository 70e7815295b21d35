"""A file of labels is taken as it is written: the truth about customer 007 is not told about customer 7."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tidemill as tm
from tidemill.cli.commands.log_labels import command
from tidemill.core.errors import DataError
from tidemill.serving.log import querying
from tidemill.serving.log.reading import scan_labels
from tidemill.serving.log.shapes import Shape
from tidemill.serving.log.writer import PredictionLog

SCHEMA: dict[str, Any] = {
    "model": "m", "version": 1, "variant": "", "digest": "d", "target": "late", "columns": []
}  # fmt: skip


@pytest.fixture(name="log")
def a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log with answers about 007, 7 and 8."""
    monkeypatch.chdir(tmp_path)
    writer = PredictionLog(tmp_path / "log", "m")
    writer.append(SCHEMA, "12", 10**15, 1, [[], [], []], [{"late": "a"}] * 3, entities=["007", "7", "8"])
    writer.close()
    return tmp_path / "log"


def tell(log: Path, text: str, *more: str) -> list[dict[str, Any]]:
    """The labels that are in the log once it took a file."""
    file = log.parent / "truth.csv"
    file.write_text(text)
    CliRunner().invoke(
        command, ["m", str(file), "--log", str(log), *more], catch_exceptions=False, standalone_mode=False
    )
    return scan_labels(log).frame.collect().to_dicts()


def test_cells_of_digits_stay_the_text_that_they_are(log: Path) -> None:
    found = tell(log, "entity,label\n007,01\n7,1\n8,0x\n")
    assert [(one["entity"], one["label"]) for one in found] == [("007", "01"), ("7", "1"), ("8", "0x")]
    joined = tm.predictions(log, "m", labels=True).collect()
    assert dict(joined.select("entity", "label").rows()) == {"007": "01", "7": "1", "8": "0x"}


def test_rows_are_numbers_moments_are_moments_and_empty_cells_are_missing(log: Path) -> None:
    text = 'request_id,row,label,at\n12,2,a,2026-03-01T12:00:00+02:00\n12,0,b,2026-03-02\n034,,c,\n12,1,"d, e",\n'
    found = tell(log, text)
    assert [(one["request_id"], one["row"], one["label"]) for one in found] == [
        ("12", 2, "a"), ("12", 0, "b"), ("034", None, "c"), ("12", 1, "d, e")
    ]  # fmt: skip
    assert [one["at"] for one in found[:2]] == [datetime(2026, 3, 1, 10, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)]
    assert found[2]["at"] == found[2]["arrived"]
    with pytest.raises(DataError, match="label 1: the row is no place in a request: '1b'"):
        tell(log, "request_id,row,label\n12,0,a\n12,1b,a\n")
    with pytest.raises(DataError, match="label 1: there is no label"):
        tell(log, "request_id,row,label\n12,0,a\n12,1,\n")
    assert scan_labels(log).frame.collect().height == 4


@pytest.mark.parametrize(
    ("shape", "cells", "labels"),
    [
        (Shape("binary", ("false", "true")), ["true", "False", "1", "0.0"], ["true", "false", "true", "false"]),
        (Shape("multiclass", ("1", "2", "3")), ["1", "2.0", "3"], ["1", "2", "3"]),
        (Shape("multiclass", ("01", "1")), ["01", "1"], ["01", "1"]),
        (Shape("regression"), ["3.5", "-4", "1e3"], ["3.5", "-4", "1e3"]),
    ],
)
def test_labels_of_every_kind_of_answer_are_taken(
    log: Path, monkeypatch: pytest.MonkeyPatch, shape: Shape, cells: list[str], labels: list[str]
) -> None:
    monkeypatch.setattr(querying, "_shapes", lambda: lambda name: shape)
    lines = "".join(f"{row},12,{cell}\n" for row, cell in enumerate(cells))
    assert [one["label"] for one in tell(log, f"row,request_id,label\n{lines}")] == labels


def test_a_file_with_uneven_lines_is_refused_with_the_line(log: Path) -> None:
    with pytest.raises(DataError, match="line 3 of the CSV file has 1 cell"):
        tell(log, "entity,label\n007,1\n7\n")
