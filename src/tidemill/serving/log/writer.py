"""Append to the prediction log: one write per request, before its answer leaves the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from tidemill.serving.decisions import parts_of
from tidemill.serving.log.framing import frame
from tidemill.serving.log.packing import packed, payload_of
from tidemill.serving.log.privacy import OPEN, Privacy
from tidemill.serving.log.segments import SEGMENT_BYTES, Segments

#: Kinds of records: what the columns mean, an answered request, and labels that arrived together.
SCHEMA, REQUEST, LABELS = 0, 1, 2


class PredictionLog:
    """The log of one model in one process.

    Parameters
    ----------
    root
        The log's folder.
    model
        Whose predictions they are.
    durable
        Whether `settled` waits until the bytes are on the disk.
    segment_bytes
        From this size on a new segment is begun.
    privacy
        What is hashed, left out, and how many of the requests are kept.
    """

    def __init__(
        self,
        root: str | Path,
        model: str,
        *,
        durable: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
        privacy: Privacy = OPEN,
    ) -> None:
        folder = Path(root) / f"model={quote(model, safe='')}"
        self._segments = Segments(folder, durable=durable, segment_bytes=segment_bytes, describe=self._described)
        self.privacy = privacy
        self._is_private = bool(privacy.names)
        #: Whether `settled` waits until the bytes are on the disk.
        self.durable = durable

    def append(
        self,
        schema: Mapping[str, Any],
        request_id: str,
        ts: int,
        latency_us: int,
        rows: Sequence[Any],
        predictions: Sequence[Any],
        *,
        client: str = "",
        entities: Sequence[Any] | None = None,
        trace: str = "",
        columns: Sequence[Any] | None = None,
    ) -> None:
        """Write down one answered request, unless it is not in the sample.

        Parameters
        ----------
        schema
            ``model``, ``version``, ``variant``, ``digest``, ``columns``, ``target``: written once per segment.
        request_id, ts, latency_us
            Its id, when it came (microseconds since the epoch), how long the answer took so far.
        rows
            For each row its values in the order of the schema's columns, or None for a refused one.
        predictions
            For each row what the caller is told.
        client, entities, trace
            Who asked, about whom (one key per row), and the trace that the request belongs to.
        columns
            The values of those `rows` that have any once more, by column, where they are known so; numbers in arrays
            are written much faster.

        Raises
        ------
        OutOfSpaceError
            When the record cannot be written; the segment is as it was before.
        """
        digest, target, privacy = schema["digest"], schema["target"], self.privacy
        share = 1.0
        if privacy.sample < 1.0 and not any("error" in parts_of(told, target) for told in predictions):
            share = privacy.sample
            if not privacy.keeps(request_id):
                return
        if self._is_private:
            names = [column["name"] for column in schema["columns"]]
            rows, predictions = privacy.of_rows(names, target, rows, predictions)
            entities, client = privacy.of_entities(entities), privacy.of_value("client", client) or ""
        written, numbers = (rows, b"") if columns is None or self._is_private else packed(columns, rows)
        record = (REQUEST, request_id, ts, digest, latency_us, client, entities, written, predictions, trace, share)
        self._segments.append(ts, frame(payload_of(record, numbers)), digest, schema)

    def _described(self, schema: Mapping[str, Any]) -> bytes:
        """The record that says what the columns of a schema's requests mean."""
        return frame(orjson.dumps((SCHEMA, self.privacy.of_schema(schema))))

    async def settled(self) -> None:
        """Return once everything appended so far is as safe as was asked for."""
        await self._segments.settled()

    def finish(self, before: str = "") -> None:
        """Finish the segment, if it was begun before that identifier was made; a later append begins another."""
        self._segments.finish(before)

    def close(self) -> None:
        """Finish the segment for good."""
        self._segments.close()
