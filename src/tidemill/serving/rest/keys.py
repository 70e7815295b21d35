"""API keys: ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from tidemill.core.errors import UsageError
from tidemill.serving.rest.wire import Refusal, Scope

_HINT = "Send Authorization: Bearer KEY, or X-API-Key: KEY."


class Keys:
    """Who may ask. Digests are looked up, not keys, so that the time it takes tells nothing about them."""

    def __init__(self, keys: Iterable[str], admin_keys: Iterable[str]) -> None:
        self._admin = frozenset(map(_digest, admin_keys))
        self._all = self._admin | frozenset(map(_digest, keys))

    def check(self, scope: Scope, *, admin: bool = False) -> None:
        """Let a request pass, or refuse it.

        Raises
        ------
        Refusal
            401 without a key, 403 with a key that is unknown, or of a kind that may not do this.
        """
        if self._all:  # on the hot path: headers are looked through only then
            self.check_key(key_of(scope), admin=admin)

    def check_key(self, key: str, *, admin: bool = False) -> None:
        """As `check`, of a key that came another way, or did not come."""
        if not self._all:
            return
        if not key:
            raise Refusal(
                401, UsageError("this server asks for a key", hint=_HINT), ((b"www-authenticate", b"Bearer"),)
            )
        digest = _digest(key)
        if digest not in self._all:
            raise Refusal(403, UsageError("this key is not known here", hint=_HINT))
        if admin and self._admin and digest not in self._admin:
            raise Refusal(403, UsageError("this key may not do that", hint="Use one of the admin keys."))


def key_of(scope: Scope) -> str:
    """The key that a request was sent with; empty if there is none."""
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            return bytes(value).decode("latin-1").strip()
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return bytes(value[7:]).decode("latin-1").strip()
    return ""


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
