"""Append to the prediction log: one write per request, before its answer leaves the process.

A write that has returned survives the death of the process (the bytes are the kernel's); with `durable` it survives the
death of the machine too: `settled` then waits for one fsync that many requests share.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from tidemill.core import clock
from tidemill.core.errors import OutOfSpaceError
from tidemill.core.ids import new_id
from tidemill.serving.log.framing import MAGIC, frame

SEGMENT_BYTES = 64 << 20
_DAY_US = 86_400_000_000
#: Kinds of records: what the columns mean, and an answered request.
SCHEMA, REQUEST = 0, 1


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
    """

    def __init__(
        self, root: str | Path, model: str, *, durable: bool = False, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self._folder = Path(root) / f"model={quote(model, safe='')}"
        self._durable = durable
        self._limit = segment_bytes
        self._lock = threading.Lock()
        self._descriptor = -1
        self._path = Path()
        self._size = 0
        self._day = -1
        self._schemas: set[str] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._syncing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "prediction-log") if durable else None

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
    ) -> None:
        """Write down one answered request.

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

        Raises
        ------
        OutOfSpaceError
            When the record cannot be written; the segment is as it was before.
        """
        digest = schema["digest"]
        record = frame(
            orjson.dumps(
                (REQUEST, request_id, ts, digest, latency_us, client, entities, rows, predictions, trace),
                option=orjson.OPT_NON_STR_KEYS,
            )
        )
        with self._lock:
            day = ts // _DAY_US
            if day != self._day or self._size >= self._limit or self._descriptor < 0:
                self._rotate(day)
            if digest not in self._schemas:
                self._write(frame(orjson.dumps((SCHEMA, schema))) + record)
                self._schemas.add(digest)
            else:
                self._write(record)

    async def settled(self) -> None:
        """Return once everything appended so far is as safe as was asked for."""
        if not self._durable:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.ensure_future(self._sync())
        await waiter

    def close(self) -> None:
        """Finish the segment; a later append begins another."""
        with self._lock:
            self._finish()
        if self._thread is not None:
            self._thread.shutdown()

    async def _sync(self) -> None:
        """Fsync as often as somebody waits: one call settles all who came before it."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            settled, self._waiting = self._waiting, []
            try:
                await loop.run_in_executor(self._thread, os.fsync, self._descriptor)
            except OSError as error:
                # A segment that was finished meanwhile has been synced before it was closed.
                failure = None if error.errno == errno.EBADF else _unsynced(self._path, error)
            else:
                failure = None
            for waiter in (waiter for waiter in settled if not waiter.done()):
                if failure is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(failure)

    def _rotate(self, day: int) -> None:
        self._finish()
        folder = self._folder / f"day={clock.from_us(day * _DAY_US):%Y-%m-%d}"
        path = folder / f"{new_id()}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        except OSError as error:
            raise _full(path, error) from error
        try:
            # The lock is gone when the process is: a segment that can be locked has no writer any more.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # somebody who seals found it before it was locked
            os.close(descriptor)
            self._rotate(day)
            return
        self._descriptor, self._path, self._day, self._size = descriptor, path, day, 0
        self._schemas.clear()
        self._write(MAGIC)

    def _write(self, data: bytes) -> None:
        """Append all of it or nothing."""
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            os.ftruncate(self._descriptor, self._size)
            raise _full(self._path, error) from error
        self._size += len(data)

    def _finish(self) -> None:
        if self._descriptor >= 0:
            if self._durable:
                os.fsync(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = -1


def _unsynced(path: Path, error: OSError) -> OutOfSpaceError:
    return OutOfSpaceError(
        f"the prediction log cannot be synced: {error.strerror}", value=str(path), hint="Look at the disk."
    )


def _full(path: Path, error: OSError) -> OutOfSpaceError:
    return OutOfSpaceError(
        f"the prediction log cannot be written: {error.strerror}",
        value=str(path),
        hint="Free space, or point the log elsewhere; a prediction is not answered before it is logged.",
    )
