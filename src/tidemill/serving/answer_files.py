"""Files of answers out: CSV, NDJSON, Parquet, Arrow; loaded when the first one is asked for."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import orjson
import polars as pl

from tidemill.core.model import Signature
from tidemill.serving.predictor import Answer
from tidemill.serving.scoring.judged import Judged
from tidemill.serving.tables import Format


class Written:
    """The answers of a file, collected some at a time.

    Parameters
    ----------
    kind
        As what they are written.
    signature
        Of the model that answers.
    """

    def __init__(self, kind: Format, signature: Signature) -> None:
        self._kind, self._signature = kind, signature
        self._lines: list[bytes] = []
        self._frames: list[pl.DataFrame] = []
        self._rows = 0

    def add(self, answer: Answer, request_id: str) -> None:
        """Take the answers of the next rows, which get what a label needs: the request's id, and the row in it."""
        if self._kind == "ndjson":
            options = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
            told = (
                counted(one, self._rows) | self._only({"request_id": request_id, "row": row})
                for row, one in enumerate(answer.predictions)
            )
            self._lines.append(b"".join(orjson.dumps(one, option=options) for one in told))
        else:
            frame = Judged.of([answer], self._signature.target).file(self._signature, self._rows)
            place = self._only({"request_id": pl.lit(request_id), "row": pl.int_range(pl.len(), dtype=pl.Int64)})
            self._frames.append(frame.with_columns(**place))
        self._rows += len(answer.predictions)

    def _only(self, place: dict[str, Any]) -> dict[str, Any]:
        """Without what is called as the answer is: that is not written over."""
        place.pop(self._signature.target, None)
        return place

    def finish(self) -> bytes:
        """The file."""
        if self._kind == "ndjson":
            return b"".join(self._lines)
        frame, out = joined(self._frames), io.BytesIO()
        if self._kind == "csv":
            frame.write_csv(out)
        elif self._kind == "parquet":
            frame.write_parquet(out)
        else:
            frame.write_ipc_stream(out, compat_level=pl.CompatLevel.oldest())
        return out.getvalue()


def joined(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Answers (`Judged.file`) as one table, its columns in one order: answers, what is said of them, what was wrong."""
    frame = pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()
    names = sorted(frame.columns, key=_last)
    return frame.select(names)


def counted(answer: dict[str, Any], before: int) -> dict[str, Any]:
    """An answer of a part of a file; an error counts the rows of the whole.

    >>> counted({"error": {"row": 2, "column": "items"}}, 10_000)
    {'error': {'row': 10002, 'column': 'items'}}
    """
    if "error" not in answer or not isinstance(answer["error"], dict):
        return answer
    return {"error": {**answer["error"], "row": answer["error"]["row"] + before}}


def _last(name: str) -> int:
    return (name == "warnings") + 2 * (name in ("request_id", "row")) + 3 * name.startswith("error.")
