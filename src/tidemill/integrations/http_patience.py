"""When to ask a server again, and how long to wait before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from tidemill.core.clock import lease_now

#: The answers after which the same request may succeed later.
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
#: A server that asks to wait longer than this, in seconds, is not waited for.
LONGEST_PAUSE = 60.0
_FIRST_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Ending:
    """How asking ended: what happened last, the answer if there was one, and what stood in the way.

    `refused` says that asking again is no use; `after` how it was given up, such as " 4 times"; an answer has neither.
    """

    said: str
    response: Any
    refused: bool = False
    after: str = ""

    @property
    def is_answer(self) -> bool:
        """Whether it is what was asked for."""
        return not self.refused and not self.after


def patiently(ask: Callable[[], tuple[str, Any]], *, retries: int, accepts: Callable[[Any], bool]) -> Ending:
    """Ask until there is an answer, as often and as slowly as the server wants and `retries` allows.

    Parameters
    ----------
    ask
        Asks once: what happened, and the answer if there was one.
    retries
        How often it is asked again.
    accepts
        Whether an answer will do.
    """
    attempt = 0
    while True:
        said, response = ask()
        if response is not None and accepts(response):
            return Ending(said, response)
        if response is not None and response.status_code not in AGAIN:
            return Ending(said, response, refused=True)
        pause = pause_before(attempt, response)
        if pause > LONGEST_PAUSE:
            return Ending(said, response, after=f" and asks to wait {pause:.0f} s")
        if attempt >= retries:
            return Ending(said, response, after=f" {attempt + 1} times")
        wait(pause)
        attempt += 1


def pause_before(attempt: int, response: Any) -> float:
    """Seconds to wait before the next attempt: what ``Retry-After`` asks for, else twice as long each time.

    >>> pause_before(0, None), pause_before(3, None)
    (0.5, 4.0)
    """
    asked = None if response is None else response.headers.get("retry-after")
    if asked is None:
        return min(LONGEST_PAUSE, _FIRST_PAUSE * 2.0**attempt)
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - lease_now())
    except ValueError:
        return _FIRST_PAUSE


def wait(seconds: float) -> None:
    """Wait, if there is something to wait for."""
    if seconds > 0:
        threading.Event().wait(seconds)
