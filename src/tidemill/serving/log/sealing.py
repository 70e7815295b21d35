"""Turn finished segments into Parquet, beside the server and not in it: a server loads no table library."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import polars as pl

from tidemill.serving.log.decoding import decode, decode_labels
from tidemill.serving.log.labelling import FOLDER
from tidemill.serving.log.reading import days_of
from tidemill.serving.log.segments import is_over


def seal(root: str | Path, model: str | None = None) -> list[Path]:
    """Turn segments without a living writer into Parquet; safe to repeat and to interrupt at any point.

    Returns
    -------
    list of Path
        The files that were written.
    """
    written: list[Path] = []
    for tree, decoder in ((Path(root), decode), (Path(root) / FOLDER, decode_labels)):
        for folder in days_of(tree, model, None, None, also_nobody=tree.name == FOLDER):
            for path in sorted(folder.glob("*.log")):
                with suppress(FileNotFoundError), path.open("rb") as file:  # another process may have sealed it
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        continue
                    target = path.with_suffix(".parquet")
                    if not target.exists() and path.exists():
                        write_whole(decoder(file.read()).frame, target, path.with_suffix(".sealing"))
                        written.append(target)
                    path.unlink(missing_ok=True)
    return written


def write_whole(frame: pl.DataFrame, target: Path, draft: Path) -> None:
    """Put a Parquet file in its place, on the disk, all of it or nothing."""
    frame.write_parquet(draft)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(target)


def expire(root: str | Path, days: Mapping[str, float]) -> list[Path]:
    """Delete the sealed days of models that are older than they may be; what is not sealed stays.

    Parameters
    ----------
    root
        The log's folder.
    days
        By model, how many days are kept.

    Returns
    -------
    list of Path
        The files that were deleted.
    """
    deleted: list[Path] = []
    for model, kept in days.items():
        for tree in (Path(root), Path(root) / FOLDER):
            for folder in days_of(tree, model, None, None):
                if not is_over(folder, kept):
                    continue
                for path in folder.glob("*.parquet"):
                    path.unlink(missing_ok=True)
                    deleted.append(path)
                with suppress(OSError):  # a segment that is not sealed yet keeps it
                    folder.rmdir()
    return deleted


def main() -> None:
    """Seal the log in the folder that is the first argument; the second says what expires, as JSON."""
    root, days = sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    seal(root)
    expire(root, days)


if __name__ == "__main__":
    main()
