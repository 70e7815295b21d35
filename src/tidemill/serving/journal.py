"""What the workers of one server tell each other: which models to load and unload."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


class Journal:
    """A file that every worker appends to and reads; a worker that starts later reads it from its beginning.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     here, there = Journal(Path(folder) / "journal"), Journal(Path(folder) / "journal")
    ...     here.tell("load", "flight-delay")
    ...     print(list(here.news()), list(there.news()), list(there.news()))
    [] [('load', 'flight-delay')] []
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._me = f"{os.getpid()}-{id(self)}"
        self._read = 0

    def tell(self, what: str, name: str) -> None:
        """Tell the others: one line, written at once, so that two never mix."""
        with self._path.open("ab", buffering=0) as file:
            file.write(f"{self._me}\t{what}\t{name}\n".encode())

    def news(self) -> Iterator[tuple[str, str]]:
        """What others have told since the last look."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
        whole = lines[: lines.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode().splitlines():
            who, what, name = line.split("\t")
            if who != self._me:
                yield what, name
