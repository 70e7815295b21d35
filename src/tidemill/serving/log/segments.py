"""Append records to segments: files by day, one writer each, locked while it lives.

A write that has returned survives the death of the process (the bytes are the kernel's); with `durable` it survives the
death of the machine too: `settled` then waits for one fsync that many requests share.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import OutOfSpaceError
from tidemill.core.ids import new_id
from tidemill.serving.log.framing import MAGIC

SEGMENT_BYTES = 64 << 20
DAY_US = 86_400_000_000


class Segments:
    """The segments of one folder that this process writes, one at a time.

    Parameters
    ----------
    folder
        Where the folders of the days are: ``model=flight-delay``.
    durable
        Whether `settled` waits until the bytes are on the disk.
    segment_bytes
        From this size on a new segment is begun.
    describe
        Makes the record that must come once in each segment before the first record about something.
    """

    def __init__(
        self,
        folder: Path,
        *,
        durable: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
        describe: Callable[[Any], bytes] = bytes,
    ) -> None:
        self._folder = folder
        self._describe = describe
        self._durable = durable
        self._limit = segment_bytes
        self._lock = threading.Lock()
        self._descriptor = -1
        self._path = Path()
        self._size = 0
        self._day = -1
        self._described: set[str] = set()
        self._is_closed = False
        self._unsafe: OutOfSpaceError | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._syncing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "prediction-log") if durable else None

    def append(self, ts: int, record: bytes, name: str = "", about: Any = b"") -> None:
        """Append a record to the segment of its day, all of it or nothing.

        Parameters
        ----------
        ts
            Microseconds since the epoch.
        record
            With its frame.
        name, about
            What the record is about, and how that is called: it is described before it, once in each segment.

        Raises
        ------
        OutOfSpaceError
            When it cannot be written; the segment is as it was before.
        """
        with self._lock:
            try:
                self._append(ts // DAY_US, record, name, about)
            finally:
                if self._is_closed:  # of a request that was still under way: nobody finishes it later
                    self._finish()

    async def settled(self) -> None:
        """Return once everything appended so far is as safe as was asked for."""
        if not self._durable:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.ensure_future(self._sync())
        await waiter

    def finish(self, before: str = "") -> None:
        """Finish the segment, if it was begun before that identifier was made; a later append begins another."""
        with self._lock:
            if self._descriptor >= 0 and (not before or self._path.stem < before):
                self._finish()

    def close(self) -> None:
        """Finish the segment for good; a record that comes after all has a segment of its own, finished at once."""
        try:
            with self._lock:
                self._is_closed = True
                self._finish()
        finally:
            if self._thread is not None:
                self._thread.shutdown()

    async def _sync(self) -> None:
        """Fsync as often as somebody waits: one call settles all who came before it."""
        while self._waiting:
            settled, self._waiting = self._waiting, []
            failure: BaseException | None = None
            try:
                await self._synced()
            except OSError as error:
                # A segment that was finished meanwhile has been synced before it was closed.
                failure = None if error.errno == errno.EBADF else _unsynced(self._path, error)
            except asyncio.CancelledError:
                for waiter in settled + self._waiting:
                    waiter.cancel()
                raise
            except Exception as error:  # whatever it is, nobody may wait for ever
                failure = error
            for waiter in (waiter for waiter in settled if not waiter.done()):
                if failure is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(failure)

    async def _synced(self) -> None:
        """Return once the segment is on the disk; those that are finished are, unless that has failed."""
        with self._lock:
            unsafe, self._unsafe = self._unsafe, None
            if unsafe is not None:
                raise unsafe
            if self._is_closed or self._thread is None:
                return
            syncing = self._thread.submit(os.fsync, self._descriptor)
        await asyncio.wrap_future(syncing)

    def _append(self, day: int, record: bytes, name: str, about: Any) -> None:
        if day != self._day or self._size >= self._limit or self._descriptor < 0:
            self._rotate(day)
        if name in self._described:
            self._write(record)
        else:
            self._write(self._describe(about) + record)
            self._described.add(name)

    def _rotate(self, day: int) -> None:
        self._finish()
        folder = self._folder / f"day={clock.from_us(day * DAY_US):%Y-%m-%d}"
        path = folder / f"{new_id()}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        except OSError as error:
            raise _full(path, error) from error
        try:
            # The lock is gone when the process is: a segment that can be locked has no writer any more.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_gone = os.fstat(descriptor).st_nlink == 0
        except BlockingIOError:
            is_gone = True
        if is_gone:  # somebody who seals found it before it was locked, and perhaps has sealed it already
            os.close(descriptor)
            self._rotate(day)
            return
        self._descriptor, self._path, self._day, self._size = descriptor, path, day, 0
        self._described.clear()
        try:
            self._write(MAGIC)
            if self._durable:
                _sync_folder(folder)
        except OutOfSpaceError:  # what came after would never be read
            self._descriptor = -1
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise

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
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            if self._durable:
                os.fsync(descriptor)
        except OSError as error:
            self._unsafe = _unsynced(self._path, error)
            raise self._unsafe from error
        finally:
            os.close(descriptor)


def is_over(folder: str, kept: float) -> bool:
    """Whether the last moment of a day's folder, ``day=2026-03-01``, is more than so many days ago."""
    try:
        day = date.fromisoformat(folder.removeprefix("day="))
    except ValueError:
        return False
    end = clock.to_us(datetime(day.year, day.month, day.day, tzinfo=UTC)) + DAY_US
    return end + kept * DAY_US <= clock.now_us()


def _sync_folder(folder: Path) -> None:
    """Make the entry of a new file survive the death of the machine, as its bytes do."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _unsynced(folder, error) from error
    finally:
        os.close(descriptor)


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
