"""From the rows of a table to tasks: what annotators see of them, what they are called, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tidemill.core.digests import digest_bytes
from tidemill.core.errors import DataError, NotFoundError
from tidemill.core.records import Artifact
from tidemill.data.types import physical_type, require_columns
from tidemill.engine.arguments import artifact_of
from tidemill.engine.materialisers import save
from tidemill.store import Store, executions, lineage
from tidemill.store.database import Transaction
from tidemill.store.labelling import NewTask

#: Types that JSON has no words for.
_UNSHOWN = (pl.Binary, pl.Object)


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the rows of a table: new tasks, rows that were in the queue before, equal rows in the table."""

    tasks: int
    known: int
    repeated: int


def tasks_of(frame: pl.DataFrame, key: str | Sequence[str] | None) -> tuple[list[NewTask], int]:
    """A task for each row, and how many rows were left out since an earlier row is equal.

    Parameters
    ----------
    frame
        The table.
    key
        The columns that name a row; without them a row is named by the digest of what is in it.

    Raises
    ------
    DataError
        If two different rows have the same key, a key is missing, or a column cannot be shown.
    """
    names = [key] if isinstance(key, str) else list(key or ())
    require_columns(frame, names, purpose="the key of the tasks")
    for name, dtype in frame.schema.items():
        if isinstance(dtype, _UNSHOWN):
            raise DataError(
                f"column {name!r} cannot be shown to annotators: it is {physical_type(dtype)}",
                hint="Drop it, or give them a path or a URL instead.",
            )
    texts = _texts(frame)
    keys = _keys(frame, names) if names else [digest_bytes(text.encode())[:32] for text in texts]
    found: dict[str, NewTask] = {}
    for row, (name, text) in enumerate(zip(keys, texts, strict=True)):
        earlier = found.setdefault(name, NewTask(name, text, row))
        if earlier.data != text:
            raise DataError(
                f"rows {earlier.row} and {row} have the same key and differ",
                value=name,
                hint="Give the columns that name a row, or leave the key out.",
            )
    return list(found.values()), len(texts) - len(found)


def new_ones(tasks: Sequence[NewTask], known: dict[str, tuple[int, str]]) -> list[NewTask]:
    """The tasks whose keys are not in the queue yet.

    Raises
    ------
    DataError
        If one is there with other data: what was labelled is not changed under the label.
    """
    for task in tasks:
        number, data = known.get(task.key, (0, task.data))
        if data != task.data and json.loads(data) != json.loads(task.data):
            raise DataError(
                f"task {number} has this key and other data, and may have been labelled as it is",
                value=task.key,
                hint="Add changed rows under a new key, or to a new queue.",
            )
    return [task for task in tasks if task.key not in known]


def stored_table(tx: Transaction, store: Store, frame: pl.DataFrame) -> Artifact:
    """The artifact of a table: the one that a step made, if a step did."""
    draft = save(frame, None, store.artifacts)
    try:
        found = lineage.get_artifact(tx, draft.digest)
    except NotFoundError:
        found = None
    if found is not None and found.type == draft.type:
        return found
    artifact = artifact_of(draft)
    executions.put_artifacts(tx, [artifact])
    return artifact


def _texts(frame: pl.DataFrame) -> list[str]:
    if not frame.width:
        raise DataError("the table has no columns", hint="Give one with what annotators are to look at.")
    return frame.write_ndjson().rstrip("\n").split("\n") if frame.height else []


def _keys(frame: pl.DataFrame, names: list[str]) -> list[str]:
    missing = frame.select(pl.any_horizontal(pl.col(names).is_null()).alias("missing"))["missing"]
    if missing.any():
        raise DataError("a row has no key", value=f"row {missing.arg_max()}", hint="Fill it, or use another column.")
    if len(names) == 1:
        return frame[names[0]].cast(pl.String).to_list()
    parts = frame.select(pl.col(names).cast(pl.String)).rows()
    return [json.dumps(row, ensure_ascii=False) for row in parts]
