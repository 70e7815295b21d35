"""What an API has answered, kept on this machine: asked for once, whatever happens in between."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeAlias

from tidemill.core.clock import lease_now
from tidemill.core.digests import digest_value

#: The values of a key, as text.
Key: TypeAlias = tuple[str, ...]

#: What is known of a key; None if the API has nothing.
Found: TypeAlias = Mapping[str, Any] | None

_TIDY = 1_000


class Answers:
    """The answers of one endpoint, in a file that each answer is appended to: a process that is killed loses none.

    Parameters
    ----------
    root
        The project's folder.
    endpoint
        What is asked, without secrets and without the keys: other questions have other files.
    oldest
        The greatest age in seconds of an answer that still counts; None for any age.
    """

    def __init__(self, root: Path, endpoint: object, oldest: float | None) -> None:
        self._path = _folder(root) / f"{digest_value(endpoint)}.ndjson"
        self._oldest = oldest
        self._file: BinaryIO | None = None

    def __enter__(self) -> Answers:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def known(self) -> dict[Key, Found]:
        """The answers that are young enough, by their keys."""
        kept: dict[Key, dict[str, Any]] = {}
        lines = 0
        for line in self._lines():
            lines += 1
            kept[tuple(line["key"])] = line
        if self._oldest is not None:
            since = lease_now() - self._oldest
            kept = {key: line for key, line in kept.items() if line["at"] >= since}
        if lines > _TIDY and lines > 2 * len(kept):
            self._tidy(kept)
        return {key: line["record"] for key, line in kept.items()}

    def add(self, key: Key, record: Found) -> None:
        """Keep an answer; it is on its way to the disk when this returns."""
        assert self._file is not None
        # The line begins with the end of whatever was cut off before it.
        line = {"key": key, "at": lease_now(), "record": record}
        self._file.write(b"\n" + json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for text in file:
                try:
                    line = json.loads(text)
                except ValueError:  # empty, or cut off when a process was killed
                    continue
                yield line

    def _tidy(self, kept: Mapping[Key, Mapping[str, Any]]) -> None:
        """Leave out what was answered anew or is too old."""
        tidied = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        tidied.write_bytes(b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in kept.values()))
        os.replace(tidied, self._path)  # noqa: PTH105 — atomic, over what is there
        if self._file is not None:
            self._file.close()
            self._file = self._path.open("ab", buffering=0)


def _folder(root: Path) -> Path:
    hidden = root / ".tidemill"
    if not hidden.exists():
        hidden.mkdir(parents=True, exist_ok=True)
        (hidden / ".gitignore").write_text("*\n", encoding="utf-8")
    return hidden / "cache" / "answers"
