"""When to ask a server again, and how long to wait before."""

from __future__ import annotations

import threading
from email.utils import parsedate_to_datetime
from typing import Any

from tidemill.core.clock import lease_now

#: The answers after which the same request may succeed later.
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
#: A server that asks to wait longer than this, in seconds, is not waited for.
LONGEST_PAUSE = 60.0
_FIRST_PAUSE = 0.5


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
