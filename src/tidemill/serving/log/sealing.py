"""Turn finished segments into Parquet and archive it, beside the server and not in it: a server loads no tables."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import polars as pl

from tidemill.core.errors import DataError, TidemillError
from tidemill.serving.log.archive import Archive, others, remember
from tidemill.serving.log.decoding import Decoded, decode, decode_labels
from tidemill.serving.log.files import listed
from tidemill.serving.log.layout import both
from tidemill.serving.log.locks import locked
from tidemill.serving.log.places import Folder, Place
from tidemill.serving.log.segments import is_over
from tidemill.store.blobs_local import flush

#: The lock of whoever moves or rewrites sealed files.
ARCHIVING = "archiving"


def seal(root: str | Path, model: str | None = None) -> list[Path]:
    """Turn segments without a living writer into Parquet; safe to repeat and to interrupt at any point.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    DataError
        When segments cannot be read, after all others were sealed; those stay as they are.
    """
    written: list[Path] = []
    unread: list[DataError] = []
    for days, decoder in zip(both(model, nobody=True), (decode, decode_labels), strict=True):
        for folder in days.folders(Path(root)):
            for path in listed(folder, "*.log"):
                try:
                    written += _sealed(path, decoder)
                except DataError as error:
                    unread.append(error)
    if unread:
        unread[0].details = "\n".join(f"Nor can be {error.value}." for error in unread[1:])
        raise unread[0]
    return written


def _sealed(path: Path, decoder: Callable[[bytes], Decoded]) -> list[Path]:
    """The file that a segment without a living writer has become; none if another process has sealed it."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        target, written = path.with_suffix(".parquet"), []
        if not target.exists() and path.exists():
            write_whole(_decoded(path, file.read(), decoder), target, path.with_suffix(".sealing"))
            written.append(target)
        path.unlink(missing_ok=True)
        return written
    return []


def _decoded(path: Path, data: bytes, decoder: Callable[[bytes], Decoded]) -> pl.DataFrame:
    try:
        return decoder(data).frame
    except Exception as error:  # whatever is written there: the other segments are sealed
        what = f"a segment of the prediction log cannot be sealed ({type(error).__name__})"
        hint = "It stays as it is, the others are sealed: keep it, and read it with a newer Tidemill."
        raise DataError(what, value=str(path), hint=hint) from error


def write_whole(frame: pl.DataFrame, target: Path, draft: Path) -> None:
    """Put a Parquet file in its place, on the disk, all of it or nothing."""
    frame.write_parquet(draft)
    flush(draft)
    draft.replace(target)
    flush(target.parent)


def expire(root: str | Path, days: Mapping[str, float], archives: Sequence[Archive] = ()) -> list[str]:
    """Delete the sealed days of models that are older than they may be; what is not sealed stays.

    Parameters
    ----------
    root
        The log's folder.
    days
        By model, how many days are kept.
    archives
        Where else.

    Returns
    -------
    list of str
        The files that were deleted.
    """
    deleted: list[str] = []
    places: list[Place] = [Folder(Path(root)), *archives]
    for model, kept in days.items():
        for wanted in both(model):
            for place in places:
                for path in place.files(wanted):
                    if is_over(path.split("/")[-2], kept):
                        place.remove(path)
                        deleted.append(place.shown(path))
            for folder in wanted.folders(Path(root)):
                if is_over(folder.name, kept):
                    with suppress(OSError):  # a segment that is not sealed yet keeps it
                        folder.rmdir()
    return deleted


def archive_sealed(root: str | Path, archive: Archive) -> list[str]:
    """Move sealed files into an archive, each once it was read back from there; safe to repeat and to interrupt.

    Returns
    -------
    list of str
        The files that went; none while somebody else archives or erases in this log.

    Raises
    ------
    StoreError
        When the archive cannot be written: what is not there stays here.
    """
    where, folder = Path(root), Folder(Path(root))
    moved: list[str] = []
    with locked(where, ARCHIVING) as alone:
        if not alone:
            return moved
        remember(where, archive)
        for path in [path for days in both() for path in folder.files(days)]:
            if (where / path).with_suffix(".log").exists():
                continue  # whoever sealed it has not finished
            try:
                data = folder.read(path)
            except FileNotFoundError:  # it is over, and was deleted
                continue
            archive.replace(path, data)
            folder.remove(path)
            moved.append(path)
            if is_over((where / path).parent.name, 1.0):  # nobody begins a segment there any more
                with suppress(OSError):
                    (where / path).parent.rmdir()
    return moved


def main() -> None:
    """Look after the log that standard input names, as JSON: seal, archive, and delete what is over."""
    order = json.loads(sys.stdin.read())
    root, days = Path(order["root"]), order["days"]
    unread = ""
    try:
        seal(root)
    except TidemillError as error:  # what could be sealed is looked after all the same
        unread = str(error)
    expire(root, days)
    try:
        archives = [] if order["archive"] is None else [Archive(*order["archive"])]
        for archive in archives:
            archive_sealed(root, archive)
        if days:
            expire(root, days, [*archives, *others(root, archives)])
    except TidemillError as error:
        sys.exit("\n".join(filter(None, (unread, str(error)))))
    if unread:
        sys.exit(unread)


if __name__ == "__main__":
    main()
