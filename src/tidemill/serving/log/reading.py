"""Query the prediction log: sealed and open segments as one lazy table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import polars as pl

from tidemill.serving.log.decoding import decode, empty


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


def predictions(
    root: str | Path,
    model: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> pl.LazyFrame:
    """Everything that was asked and answered, as a lazy table.

    Parameters
    ----------
    root
        The log's folder.
    model
        Of this model only.
    since, until
        From this moment on, and before that one; days outside are not read.

    Returns
    -------
    polars.LazyFrame
        ``request_id``, ``row``, ``ts``, ``model``, ``version``, ``variant``, ``schema``, ``prediction`` (text),
        ``probability``, ``probabilities``, ``warnings``, ``status`` (answered, refused, failed), ``error``,
        ``latency_ms``, ``client``, ``entity``, and ``features.<column>`` for each input of the models.
    """
    return scan_log(root, model, since=since, until=until).frame


def scan_log(
    root: str | Path,
    model: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> LogScan:
    """As `predictions`, with what was found on the way."""
    sealed: list[Path] = []
    frames: list[pl.LazyFrame] = []
    torn, segments = 0, 0
    for folder in days_of(Path(root), model, since, until):
        segments_here = sorted(folder.glob("*.log"))  # listed first: one that is sealed now is then seen at least once
        done = sorted(folder.glob("*.parquet"))
        sealed += done
        names = {path.stem for path in done}
        for path in segments_here:
            if path.stem in names:
                continue  # sealed, and about to be deleted
            try:
                decoded = decode(path.read_bytes())
            except FileNotFoundError:  # sealed since the folder was listed
                sealed.append(path.with_suffix(".parquet"))
                continue
            frames.append(decoded.frame.lazy())
            torn, segments = torn + decoded.torn, segments + 1
    frames = [pl.scan_parquet(path, hive_partitioning=False) for path in sealed] + frames
    frame = pl.concat(frames, how="diagonal_relaxed") if frames else empty().lazy()
    if since is not None:
        frame = frame.filter(pl.col("ts") >= since)
    if until is not None:
        frame = frame.filter(pl.col("ts") < until)
    return LogScan(frame, len(sealed), segments, torn)


def days_of(root: Path, model: str | None, since: datetime | None, until: datetime | None) -> Iterator[Path]:
    """The folders of a log that can hold rows of a model between two moments."""
    first = "" if since is None else f"day={_day(since)}"
    last = "day=9999" if until is None else f"day={_day(until)}"
    pattern = "model=*" if model is None else f"model={quote(model, safe='')}"
    for folder in sorted(root.glob(f"{pattern}/day=*")):
        if first <= folder.name <= last:
            yield folder


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"
