"""What a step prints, warns and logs, kept with the step: bounded, live, and per step even where steps share a process.

In process, `capture` routes ``sys.stdout``, ``sys.stderr`` and `logging` by context variable, so that steps in several
threads do not mix. In a worker process, `redirect_descriptors` sends the file descriptors themselves elsewhere, so that
what C libraries and child processes print is kept too.
"""

from __future__ import annotations

import ctypes
import io
import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

#: A step's log keeps this many characters: the first half and the last half.
LIMIT = 1024 * 1024

#: Of a line that is not finished yet, so many characters wait for its end.
_LONGEST_LINE = 10_000

OnLine = Callable[[str], None]


class StepLog:
    r"""Text written by one step, from any of its threads: the head and the tail, and how much was dropped between.

    Parameters
    ----------
    limit
        How many characters to keep.
    on_line
        Called with each complete line, without its end, as it is written. Of a line that was written over (a progress
        bar) it gets what is left to see.

    Examples
    --------
    >>> log = StepLog(limit=12)
    >>> log.write("first\nmiddle\nlast\n")
    >>> print(log.text())
    first
    <BLANKLINE>
    … 6 characters dropped …
    <BLANKLINE>
    last
    <BLANKLINE>
    """

    def __init__(self, limit: int = LIMIT, on_line: OnLine | None = None) -> None:
        self.closed = False
        self._room = limit - limit // 2
        self._tail_limit = limit // 2
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._dropped = 0
        self._on_line = on_line
        self._partial = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> None:
        """Append text."""
        if not text:
            return
        with self._lock:
            self._keep(text)
            if self._on_line is not None:
                self._say(self._on_line, text)

    def _say(self, on_line: OnLine, text: str) -> None:
        *lines, partial = (self._partial + text).split("\n")
        if len(partial) > _LONGEST_LINE:  # a progress bar that never ends its line, or no text at all
            partial = partial.rpartition("\r")[2][-_LONGEST_LINE:]
        self._partial = partial
        for line in lines:
            on_line(line.rstrip("\r").rpartition("\r")[2])

    def close(self) -> None:
        """Take nothing more, and report an unfinished last line."""
        with self._lock:
            self.closed = True
            if self._on_line is not None and self._partial:
                self._say(self._on_line, "\n")

    def text(self) -> str:
        """What was kept."""
        with self._lock:
            if not self._dropped:
                return "".join((*self._head, *self._tail))
            return "".join((*self._head, f"\n… {self._dropped:,} characters dropped …\n", *self._tail))

    def last_lines(self, count: int) -> list[str]:
        r"""The last lines that were kept.

        >>> log = StepLog()
        >>> log.write("one\ntwo\nthree")
        >>> log.last_lines(2)
        ['two', 'three']
        """
        return self.text().splitlines()[-count:]

    def _keep(self, text: str) -> None:
        if self._room:
            head = text[: self._room]
            self._head.append(head)
            self._room -= len(head)
            text = text[len(head) :]
        if not text:
            return
        if len(text) > self._tail_limit:
            self._dropped += len(text) - self._tail_limit
            text = text[len(text) - self._tail_limit :]
        self._tail.append(text)
        self._tail_size += len(text)
        while (excess := self._tail_size - self._tail_limit) > 0:
            oldest = self._tail.popleft()
            cut = min(excess, len(oldest))
            if cut < len(oldest):
                self._tail.appendleft(oldest[cut:])
            self._tail_size -= cut
            self._dropped += cut


_active: ContextVar[StepLog | None] = ContextVar("tidemill_step_log", default=None)


@contextmanager
def capture(log: StepLog, *, tee: bool = False) -> Iterator[StepLog]:
    r"""Send what this context prints, warns and logs to `log`.

    Parameters
    ----------
    log
        Where it goes. It is closed at the end: what a thread left behind writes later goes to the real streams.
    tee
        Whether the real streams get it as well.

    Examples
    --------
    >>> with capture(StepLog()) as log:
    ...     print("fitted")
    >>> log.text()
    'fitted\n'
    """
    token = _active.set(log)
    _streams.install(tee=tee)
    try:
        yield log
    finally:
        _streams.remove(tee=tee)
        _active.reset(token)
        log.close()


def _listening() -> StepLog | None:
    log = _active.get()
    return None if log is None or log.closed else log


@contextmanager
def uncaptured() -> Iterator[None]:
    """Print to the real streams, in the middle of a capture; for callbacks that show progress."""
    token = _active.set(None)
    try:
        yield
    finally:
        _active.reset(token)


class _RoutedStream(io.TextIOBase):
    """Stands for ``sys.stdout`` or ``sys.stderr`` while a step is being captured somewhere in this process."""

    def __init__(self, original: TextIO | None) -> None:
        self.original = original

    def write(self, text: str) -> int:
        log = _listening()
        if log is not None:
            log.write(text)
        if self.original is not None and (log is None or _streams.tee):
            self.original.write(text)
        return len(text)

    def flush(self) -> None:
        if self.original is not None:
            self.original.flush()

    def isatty(self) -> bool:
        return _listening() is None and self.original is not None and self.original.isatty()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self.original is None:
            raise io.UnsupportedOperation("fileno")
        return self.original.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self.original, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return getattr(self.original, "errors", None) or "replace"

    @property
    def buffer(self) -> Any:
        return self.original.buffer if self.original is not None and _listening() is None else _RoutedBuffer(self)

    def close(self) -> None:
        """Stay open: the real stream belongs to the process."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


class _RoutedBuffer(io.RawIOBase):
    """The binary side of a routed stream."""

    def __init__(self, stream: _RoutedStream) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._stream.write(raw.decode(self._stream.encoding, "replace"))
        return len(raw)


class StepLogHandler(logging.Handler):
    """Brings `logging` records that reach the root logger into the log of the step that made them."""

    def __init__(self, *, everywhere: bool = False) -> None:
        super().__init__()
        self._everywhere = everywhere  # a worker process runs nothing but steps
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write to the running step's log, unless another handler already prints there."""
        others = [handler for handler in logging.getLogger().handlers if handler is not self]
        if self._everywhere or _listening() is not None:
            if not any(getattr(handler, "stream", None) in (sys.stdout, sys.stderr) for handler in others):
                sys.stderr.write(self.format(record) + "\n")
        elif not others and logging.lastResort is not None and record.levelno >= logging.lastResort.level:
            logging.lastResort.emit(record)  # as if this handler were not there


class _Streams:
    """Puts the routed streams and the handler in place for the first capture, and takes them away after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._tees = 0
        self._stdout: _RoutedStream | None = None
        self._stderr: _RoutedStream | None = None
        self._handler = StepLogHandler()

    @property
    def tee(self) -> bool:
        return self._tees > 0

    def install(self, *, tee: bool) -> None:
        with self._lock:
            self._users += 1
            self._tees += tee
            if self._users == 1:
                self._stdout, self._stderr = _RoutedStream(sys.stdout), _RoutedStream(sys.stderr)
                sys.stdout, sys.stderr = self._stdout, self._stderr
                logging.getLogger().addHandler(self._handler)

    def remove(self, *, tee: bool) -> None:
        with self._lock:
            self._users -= 1
            self._tees -= tee
            if self._users:
                return
            # Whoever replaced a stream meanwhile (a test runner, a notebook) keeps theirs.
            if sys.stdout is self._stdout and self._stdout is not None:
                sys.stdout = self._stdout.original
            if sys.stderr is self._stderr and self._stderr is not None:
                sys.stderr = self._stderr.original
            logging.getLogger().removeHandler(self._handler)


_streams = _Streams()


def redirect_descriptors(target: int) -> None:
    """Send file descriptors 1 and 2 of this process to `target`, with Python's streams on top, line by line.

    For worker processes: it also takes what C libraries and child processes print, and it is never undone.
    """
    for descriptor in (1, 2):
        os.dup2(target, descriptor, inheritable=True)
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    logging.getLogger().addHandler(StepLogHandler(everywhere=True))


def flush_descriptors() -> None:
    """Push out what Python and the C library have buffered."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
