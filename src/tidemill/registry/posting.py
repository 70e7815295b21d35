"""One HTTP request with a body: bounded in time as a whole, no redirect followed, the answer's body left unread.

Signed as Standard Webhooks has it (standardwebhooks.com): headers ``webhook-id``, ``webhook-timestamp`` and
``webhook-signature``, an HMAC-SHA256 over the three of id, timestamp and body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

from tidemill.core.clock import lease_now

_PREFIX = "whsec_"
#: A receiver may ask for so much patience, in seconds.
_LONGEST = 24 * 60 * 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request came out: the status, 0 if there was none; what went wrong; when to come again, in seconds."""

    status: int
    error: str = ""
    retry_after: float | None = None


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``.

    Parameters
    ----------
    secret
        Any text, or ``whsec_`` and the key in base64.
    event_id, timestamp
        What the other two headers say; the timestamp in whole seconds.
    body
        The bytes that are sent.

    Examples
    --------
    >>> key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    >>> signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = secret.encode()
    if secret.startswith(_PREFIX):
        with suppress(binascii.Error):  # not base64 after all: then it is a text that happens to begin so
            key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    signed = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed.digest()).decode()}"


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout: float) -> Answer:
    """Post JSON, and give up after `timeout` seconds in all, however slowly the other side answers."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return Answer(0, "the URL is no web address")
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{parts.query}" if parts.query else "")
    try:
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname, parts.port, timeout=timeout)
    except (ValueError, http.client.InvalidURL) as error:
        return Answer(0, f"the URL is no web address: {error}")
    expired = threading.Event()

    def cut() -> None:
        expired.set()
        if connection.sock is not None:
            with suppress(OSError):  # it was closed meanwhile
                connection.sock.shutdown(socket.SHUT_RDWR)

    watch = threading.Timer(timeout, cut)
    watch.daemon = True
    watch.start()
    try:
        connection.request("POST", target, body, {"Content-Type": "application/json", **headers})
        answer = _answer(connection.getresponse())
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, TimeoutError):
            expired.set()
        answer = Answer(0, f"{type(error).__name__}: {error}")
    finally:
        watch.cancel()
        connection.close()
    return Answer(0, f"no answer within {timeout:g} seconds") if expired.is_set() else answer


def _answer(response: http.client.HTTPResponse) -> Answer:
    status = response.status
    if 200 <= status < 300:
        return Answer(status)
    error = f"answered {status} {response.reason}".strip()
    if 300 <= status < 400:
        error += ", a redirect, which is not followed: give the final URL"
    return Answer(status, error, _patience(response.headers.get("Retry-After")))


def _patience(text: str | None) -> float | None:
    """Seconds from a ``Retry-After``: a number, or a date."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.fromtimestamp(lease_now(), UTC)).total_seconds()), _LONGEST)
