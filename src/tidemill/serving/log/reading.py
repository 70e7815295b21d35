"""Query the prediction log: sealed files, here and in archives, and open segments, as one lazy table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from tidemill.core.errors import DataError, NotFoundError, StoreUnavailableError
from tidemill.serving.log.archive import Archive, archives_of
from tidemill.serving.log.decoding import FIELDS, LABEL_FIELDS, Decoded, decode, decode_labels
from tidemill.serving.log.files import contents, listed
from tidemill.serving.log.labelling import FIRST
from tidemill.serving.log.layout import Days, moment_of
from tidemill.serving.log.places import Folder, Place


@dataclass(frozen=True, slots=True)
class LogScan:
    """What a log holds.

    Parameters
    ----------
    frame
        One row per predicted row, the oldest segment first; feature columns are named ``features.<column>``.
    sealed, open
        How many segments of each kind were read.
    torn
        Bytes at the ends of segments that are no whole record: what a dying server was writing, never an answer that
        left it.
    archived
        How many of the sealed ones are in an archive only.
    """

    frame: pl.LazyFrame
    sealed: int
    open: int
    torn: int
    archived: int = 0


def scan_log(
    root: str | Path,
    model: str | None = None,
    *,
    since: datetime | date | str | None = None,
    until: datetime | date | str | None = None,
    local: bool = False,
) -> LogScan:
    """As `predictions`, with what was found on the way."""
    since, until = moment_of(since, "since"), moment_of(until, "until")
    scan = _scan(Path(root), Days(model, since, until), decode, FIELDS, local=local)
    frame = scan.frame
    if since is not None:
        frame = frame.filter(pl.col("ts") >= since)
    if until is not None:
        frame = frame.filter(pl.col("ts") < until)
    # What was sealed before there were samples has no share, or not the column.
    return replace(scan, frame=frame.with_columns(pl.col("sample").fill_null(1.0)))


def scan_labels(root: str | Path, model: str | None = None, *, local: bool = False) -> LogScan:
    """Every label that was told, corrected ones and duplicates too, in the order of their arrival.

    Parameters
    ----------
    root
        The log's folder.
    model
        Those that are about this model, and those that name none; all of them by default.
    local
        Whether to leave archives alone.
    """
    scan = _scan(Path(root), Days(model, labels=True, nobody=True), decode_labels, LABEL_FIELDS, local=local)
    # Logs of before may have moments that Python cannot tell, in the hours before the year 1.
    first = pl.lit(FIRST).cast(LABEL_FIELDS["at"])
    return replace(scan, frame=scan.frame.with_columns(pl.col("as_of", "at").clip(lower_bound=first)))


def _scan(
    root: Path, days: Days, decoder: Callable[[bytes], Decoded], fields: Mapping[str, pl.DataType], *, local: bool
) -> LogScan:
    sealed: list[str] = []
    frames: list[pl.LazyFrame] = []
    here: set[str] = set()  # by name: a file that is in two places is read once
    torn, segments = 0, 0
    for folder in days.folders(root):
        segments_here = listed(folder, "*.log")  # listed first: one that is sealed now is then seen at least once
        done = [str(path.relative_to(root)) for path in listed(folder, "*.parquet")]
        sealed += done
        here |= set(done)
        for path in segments_here:
            name = str(path.with_suffix(".parquet").relative_to(root))
            if name in here:
                continue  # sealed, and about to be deleted
            here.add(name)
            try:
                decoded = decoder(contents(path))
            except FileNotFoundError:  # sealed since the folder was listed
                sealed.append(name)
                continue
            frames.append(decoded.frame.lazy())
            torn, segments = torn + decoded.torn, segments + 1
    # Archives are listed after the folders: what goes there meanwhile is then seen at least once.
    elsewhere: list[tuple[Place, list[str]]] = []
    for archive in [] if local else archives_of(root):
        names = [name for name in _archived(archive, days) if name not in here]
        here |= set(names)
        elsewhere.append((archive, names))
    frames = _sealed(root, sealed, elsewhere) + frames
    frame = pl.concat([pl.LazyFrame(schema=dict(fields)), *frames], how="diagonal_relaxed")
    archived = sum(len(names) for _, names in elsewhere)
    return LogScan(frame, len(sealed) + archived, segments, torn, archived)


def _archived(archive: Archive, days: Days) -> list[str]:
    try:
        return archive.files(days)
    except StoreUnavailableError as error:
        hint = f"{error.hint} What is on this machine can be read without it: --local, local=True."
        raise StoreUnavailableError(error.what, value=error.value, hint=hint) from error


def _sealed(root: Path, names: list[str], elsewhere: list[tuple[Place, list[str]]]) -> list[pl.LazyFrame]:
    """Files as tables, the oldest first; with archives, each is looked for where it has gone since it was listed."""
    folder = Folder(root)
    if not elsewhere:
        return [_scanned(folder, name) for name in names]
    places = [folder, *(place for place, _ in elsewhere)]
    schemas: dict[str, pl.Schema] = {}
    for place, paths in ((folder, names), *elsewhere):
        schemas |= place.schemas(paths)
    for name in (name for name in names if name not in schemas):
        schemas |= next((found for found in (place.schemas([name]) for place in places[1:]) if found), {})
    wanted = [*names, *(name for _, paths in elsewhere for name in paths)]
    for name in wanted:
        if name not in schemas:
            raise _gone(name)
    return [_lazy(places, name, schemas[name]) for name in sorted(wanted, key=_by_day)]


def _scanned(folder: Folder, name: str) -> pl.LazyFrame:
    try:
        return pl.scan_parquet(folder.source(name), hive_partitioning=False)
    except FileNotFoundError:
        raise _gone(name) from None


def _lazy(places: list[Place], name: str, schema: pl.Schema) -> pl.LazyFrame:
    def read(
        columns: list[str] | None, condition: pl.Expr | None, rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        for place in places:
            try:
                frame = pl.scan_parquet(place.source(name), hive_partitioning=False)
                frame = frame if rows is None else frame.head(rows)
                frame = frame if condition is None else frame.filter(condition)
                found = (frame if columns is None else frame.select(columns)).collect()
            except FileNotFoundError:  # it is in the next one, or on its way there
                continue
            yield found
            return
        raise _gone(name)

    return register_io_source(read, schema=schema)


def _by_day(name: str) -> list[str]:
    return name.split("/")[-3:]  # model, day and the moment that it was begun


def _gone(name: str) -> DataError:
    hint = "It was erased, or is over: read the log again."
    return DataError("a file of the prediction log is gone since it was listed", value=name, hint=hint)


def check_logged(root: Path, model: str) -> None:
    """Refuse a model that the log has nothing of.

    Raises
    ------
    NotFoundError
        With the folder that was looked at.
    """
    days = Days(model)
    if any(folder.is_dir() for folder in listed(root, days.prefixes()[0].rstrip("/"))):
        return
    archives = archives_of(root)
    if not any(archive.files(days) for archive in archives):
        hint = f"The log is {root}{''.join(f' and {archive.address}' for archive in archives)}."
        raise NotFoundError("nothing of this model was logged yet", value=model, hint=hint)
