"""Requests with many rows are written by column: what is read back is what was answered, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.core.clock import from_us
from tidemill.serving.log.packing import packed, payload_of, record_of, unpacked
from tidemill.serving.log.privacy import Privacy
from tidemill.serving.log.querying import predictions
from tidemill.serving.log.sealing import seal
from tidemill.serving.log.writer import PredictionLog

SCHEMA: dict[str, Any] = {
    "model": "delays", "version": 2, "variant": "champion", "digest": "abc", "target": "late",
    "columns": [
        {"name": "miles", "type": "float64"}, {"name": "dest", "type": "string"}, {"name": "stops", "type": "int64"},
        {"name": "temp", "type": "float64"},
    ],
}  # fmt: skip
FLOATS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.lists(
    st.none() | st.tuples(FLOATS, st.none() | st.text(), st.none() | st.integers(-(2**63), 2**63 - 1), FLOATS)
)


def columns_of(rows: list[Any]) -> list[Any]:
    """The columns of the rows that have values, as a predictor knows them."""
    columns = [list(column) for column in zip(*(row for row in rows if row is not None), strict=True)]
    return [np.array(column, dtype=np.float64) if place in (0, 3) else column for place, column in enumerate(columns)]


@given(rows=ROWS)
def test_rows_come_back_as_they_were(rows: list[Any]) -> None:
    told, numbers = packed(columns_of(rows), rows)
    (again,), numbers = record_of(payload_of([told], numbers))
    if any(row is not None for row in rows):
        assert unpacked(again, numbers, len(rows)) == [None if row is None else [*row] for row in rows]


@settings(max_examples=25, deadline=None)
@given(rows=ROWS.filter(lambda rows: any(row is not None for row in rows)))
def test_the_log_is_the_same_with_columns_and_without(rows: list[Any], tmp_path_factory: Any) -> None:
    told = [
        {"error": {"row": place, "error": "no"}} if row is None else {"late": True} for place, row in enumerate(rows)
    ]
    found = []
    for columns in (None, columns_of(rows)):
        root: Path = tmp_path_factory.mktemp("log")
        log = PredictionLog(root, "delays")
        log.append(SCHEMA, "r", 10**15, 1, rows, told, entities=[*range(len(rows))], columns=columns)
        log.close()
        found.append(predictions(root).collect())
        seal(root)
        assert predictions(root).collect().equals(found[-1])
    assert found[0].equals(found[1])
    assert found[0]["status"].to_list() == ["refused" if row is None else "answered" for row in rows]


def test_what_is_private_is_not_written_by_column_either(tmp_path: Path) -> None:
    """Columns are the values as they came: nothing of them may reach a log that leaves some out."""
    log = PredictionLog(tmp_path, "delays", privacy=Privacy(redact=("miles",)))
    rows = [(1234.5, "IAH", 1, 2.5)] * 20
    log.append(SCHEMA, "r", 10**15, 1, rows, [{"late": True}] * 20, columns=columns_of(rows))
    log.close()
    assert predictions(tmp_path).collect()["features.miles"].to_list() == [None] * 20
    (segment,) = tmp_path.rglob("*.log")
    assert np.float64(1234.5).tobytes() not in segment.read_bytes()
    assert from_us(10**15).strftime("%Y-%m-%d") in segment.parent.name
