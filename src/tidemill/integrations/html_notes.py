"""What is kept of fetched pages: their bytes by digest, and a note for each address."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from tidemill.core.digests import digest_value
from tidemill.data.sources.cache import cached, keep, receiving

_NAME = "page.html"


@dataclass(frozen=True, slots=True)
class Note:
    """What is known about an address.

    Parameters
    ----------
    url
        Where it led to in the end.
    digest
        Of the bytes that came.
    first
        When these bytes were first fetched, as ISO text.
    checked
        When the server was last asked, as ISO text.
    kind
        The ``Content-Type``.
    etag, modified
        How the server tells whether it changed.
    """

    url: str
    digest: str
    first: str
    checked: str
    kind: str
    etag: str | None = None
    modified: str | None = None

    def age(self, now: datetime) -> float:
        """Seconds since the server was last asked."""
        return (now - datetime.fromisoformat(self.checked)).total_seconds()


class Notes:
    """The notes and pages below a project's folder; a page that is gone or altered is as if it was never there."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, url: str) -> Note | None:
        """What is known about an address whose page is still here."""
        try:
            note = Note(**json.loads(self._place(url).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return note if cached(self._root, note.digest, _NAME) is not None else None

    def content(self, note: Note) -> bytes:
        """The bytes of a page that `find` or `keep` has just seen."""
        path = cached(self._root, note.digest, _NAME)
        return b"" if path is None else path.read_bytes()

    def keep(self, data: bytes) -> str:
        """Put bytes aside; their digest."""
        with receiving(self._root) as temporary:
            temporary.write_bytes(data)
            return keep(self._root, temporary, _NAME)[1]

    def write(self, url: str, note: Note) -> Note:
        """Note what is known about an address now."""
        place = self._place(url)
        place.parent.mkdir(parents=True, exist_ok=True)
        with receiving(self._root) as temporary:
            temporary.write_text(json.dumps(asdict(note)), encoding="utf-8")
            os.replace(temporary, place)  # noqa: PTH105 — atomic, over what is there
        return note

    def _place(self, url: str) -> Path:
        return self._root / ".tidemill" / "cache" / "pages" / f"{digest_value(url)}.json"
