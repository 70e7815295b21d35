"""Query the prediction log: sealed and open segments as one lazy table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import polars as pl

from tidemill.core.errors import NotFoundError
from tidemill.serving.log.decoding import FIELDS, LABEL_FIELDS, Decoded, decode, decode_labels
from tidemill.serving.log.labelling import FOLDER, NOBODY


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
    """

    frame: pl.LazyFrame
    sealed: int
    open: int
    torn: int


def scan_log(
    root: str | Path,
    model: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> LogScan:
    """As `predictions`, with what was found on the way."""
    scan = _scan(days_of(Path(root), model, since, until), decode, FIELDS)
    frame = scan.frame
    if since is not None:
        frame = frame.filter(pl.col("ts") >= since)
    if until is not None:
        frame = frame.filter(pl.col("ts") < until)
    # What was sealed before there were samples has no share, or not the column.
    return replace(scan, frame=frame.with_columns(pl.col("sample").fill_null(1.0)))


def scan_labels(root: str | Path, model: str | None = None) -> LogScan:
    """Every label that was told, corrected ones and duplicates too, in the order of their arrival.

    Parameters
    ----------
    root
        The log's folder.
    model
        Those that are about this model, and those that name none; all of them by default.
    """
    folders = days_of(Path(root) / FOLDER, model, None, None, also_nobody=True)
    return _scan(folders, decode_labels, LABEL_FIELDS)


def _scan(folders: Iterable[Path], decoder: Callable[[bytes], Decoded], fields: Mapping[str, pl.DataType]) -> LogScan:
    sealed: list[Path] = []
    frames: list[pl.LazyFrame] = []
    torn, segments = 0, 0
    for folder in folders:
        segments_here = sorted(folder.glob("*.log"))  # listed first: one that is sealed now is then seen at least once
        done = sorted(folder.glob("*.parquet"))
        sealed += done
        names = {path.stem for path in done}
        for path in segments_here:
            if path.stem in names:
                continue  # sealed, and about to be deleted
            try:
                decoded = decoder(path.read_bytes())
            except FileNotFoundError:  # sealed since the folder was listed
                sealed.append(path.with_suffix(".parquet"))
                continue
            frames.append(decoded.frame.lazy())
            torn, segments = torn + decoded.torn, segments + 1
    frames = [pl.scan_parquet(path, hive_partitioning=False) for path in sealed] + frames
    frame = pl.concat([pl.LazyFrame(schema=dict(fields)), *frames], how="diagonal_relaxed")
    return LogScan(frame, len(sealed), segments, torn)


def check_logged(root: Path, model: str) -> None:
    """Refuse a model that the log has nothing of.

    Raises
    ------
    NotFoundError
        With the folder that was looked at.
    """
    if not (root / f"model={quote(model, safe='')}").is_dir():
        hint = f"The log is {root}."
        raise NotFoundError("nothing of this model was logged yet", value=model, hint=hint)


def days_of(
    root: Path, model: str | None, since: datetime | None, until: datetime | None, *, also_nobody: bool = False
) -> Iterator[Path]:
    """The folders of a log that can hold rows of a model between two moments; `also_nobody` those of no model too."""
    first = "" if since is None else f"day={_day(since)}"
    last = "day=9999" if until is None else f"day={_day(until)}"
    patterns = ["model=*"] if model is None else [f"model={quote(model, safe='')}"]
    if also_nobody and model is not None:
        patterns.append(f"model={NOBODY}")
    for pattern in patterns:
        for folder in sorted(root.glob(f"{pattern}/day=*")):
            if first <= folder.name <= last:
                yield folder


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"
