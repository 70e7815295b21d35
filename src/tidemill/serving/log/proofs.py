"""Proofs of erasures: when, by whom, how many rows of which files, and never about whom in the clear."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tidemill.core import clock
from tidemill.serving.log.files import contents

_FILE = "erasures.jsonl"


@dataclass(frozen=True, slots=True)
class ErasedFile:
    """A file that rows were erased from.

    Parameters
    ----------
    file
        Its path in the log.
    rows, erased
        How many it had, and how many of them went.
    before, after
        SHA-256 of the file as it was and as it is; `after` is empty if nothing was left of it.
    """

    file: str
    rows: int
    erased: int
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure, done or only looked at.

    Parameters
    ----------
    id
        Its identifier.
    model
        Whose log.
    entity, salt
        Keyed hash of the entity, or another value, with this salt: whoever has it can see that the proof is about it.
    by, at
        Who asked, and when.
    keyed
        Whether that takes the key of the hashes too.
    column
        What it is a value of.
    finished
        When it was done; None if it was not, or was interrupted: then it has to be run again.
    files
        What was erased.
    """

    id: str
    model: str
    entity: str
    salt: str
    by: str
    at: datetime
    keyed: bool = False
    column: str = "entity"
    finished: datetime | None = None
    files: tuple[ErasedFile, ...] = ()

    @property
    def erased(self) -> int:
        """Rows that went, predictions and labels."""
        return sum(file.erased for file in self.files)

    def with_files(self, files: Sequence[ErasedFile]) -> Erasure:
        """The same with these files."""
        return replace(self, files=tuple(files))


class Proof:
    """The proof of one erasure while it is written: a line when it begins, one before each file, one at its end."""

    def __init__(self, root: Path, erasure: Erasure) -> None:
        self._path, self._erasure = root / _FILE, erasure
        told = {name: value for name, value in asdict(erasure).items() if name not in ("finished", "files")}
        self._write({"event": "begun", **told, "at": erasure.at.isoformat()})

    def tell(self, file: ErasedFile) -> None:
        """A file is about to be replaced."""
        self._write({"event": "file", "id": self._erasure.id, **asdict(file)})

    def finish(self, files: Sequence[ErasedFile]) -> Erasure:
        """All files are replaced."""
        moment = clock.now()
        self._write({"event": "finished", "id": self._erasure.id, "at": moment.isoformat()})
        return replace(self._erasure, finished=moment, files=tuple(files))

    def _write(self, event: dict[str, Any]) -> None:
        with self._path.open("ab", buffering=0) as file:
            # Begun on a line of its own, whatever the last writer died over.
            file.write(b"\n" + json.dumps(event).encode() + b"\n")
            os.fsync(file.fileno())


def erasures(root: Path) -> list[Erasure]:
    """All erasures of a log, the oldest first."""
    path = root / _FILE
    found: dict[str, Erasure] = {}
    try:
        lines = contents(path).split(b"\n")
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:  # an empty line, or what one wrote that died over it
            continue
        kind = event.pop("event")
        if kind == "begun":
            found[event["id"]] = Erasure(**{**event, "at": datetime.fromisoformat(event["at"])})
            continue
        one = found[event.pop("id")]
        if kind == "file":
            found[one.id] = replace(one, files=(*one.files, ErasedFile(**event)))
        else:
            found[one.id] = replace(one, finished=datetime.fromisoformat(event["at"]))
    return list(found.values())
