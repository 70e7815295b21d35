"""Ctrl-C, SIGTERM and requests to cancel: they interrupt user code at once, the engine's own code at safe points."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal

from tidemill.core.errors import CancelledError, LeaseLostError

Why = Literal["interrupt", "terminate", "cancel", "lost"]


class Stopped(BaseException):
    """Raised in the thread that coordinates a run; like KeyboardInterrupt, it passes through ``except Exception``."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why

    def error(self) -> BaseException:
        """What the caller of the run is told."""
        if self.why == "interrupt":
            return KeyboardInterrupt()
        if self.why == "lost":
            return LeaseLostError("another process took over this run", hint="Look at it before starting it again.")
        by = "by SIGTERM" if self.why == "terminate" else "from another process"
        return CancelledError(f"the run was cancelled {by}", hint="Go on with: tidemill run --resume")


class Interrupts:
    """Turns signals into exceptions, but only where that is safe.

    While `open` is true (user code runs in this thread: the body, or a step) the exception is raised on the spot;
    otherwise `postpone` is called and the engine looks at it when its books are in order.
    """

    def __init__(self, postpone: Callable[[Why], None]) -> None:
        self.open = False
        self._postpone = postpone
        self._main: int | None = None
        self._asked: Why | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Listen to signals in this block, if this is the main thread; handlers of the program's own stay."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        defaults: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        mine = [number for number, default in defaults.items() if signal.getsignal(number) == default]
        for number in mine:
            signal.signal(number, self._handle)
        self._main = threading.get_ident() if signal.SIGTERM in mine else None
        try:
            yield
        finally:
            self._main = None
            for number in mine:
                signal.signal(number, defaults[number])

    def ask(self, why: Why) -> None:
        """Interrupt from another thread: at once where signals are ours, at the next safe point otherwise."""
        main = self._main
        if main is None or not self.open:
            self._postpone(why)
        else:
            self._asked = why
            signal.pthread_kill(main, signal.SIGTERM)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        why: Why = self._asked or ("interrupt" if number == signal.SIGINT else "terminate")
        self._asked = None
        if not self.open:
            self._postpone(why)
            return
        self.open = False
        raise KeyboardInterrupt if why == "interrupt" else Stopped(why)
