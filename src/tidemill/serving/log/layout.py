"""Where a log has what: a folder for each model, in it one for each day; labels beside them in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tidemill.core.errors import UsageError
from tidemill.serving.log.files import listed
from tidemill.serving.log.labelling import FOLDER, NOBODY


@dataclass(frozen=True, slots=True)
class Days:
    """The days of predictions, or of labels, that somebody wants.

    Parameters
    ----------
    model
        Of this model only.
    since, until
        Days that can hold rows from this moment on, and before that one.
    labels
        Whether labels are wanted; else predictions are.
    nobody
        With a model, whether those that name none are wanted too.

    Examples
    --------
    >>> days = Days("late-orders", labels=True)
    >>> days.prefixes(), days.hold("labels/model=late-orders/day=2026-03-01/01kf.parquet")
    (['labels/model=late-orders/'], True)
    >>> Days().hold("labels/model=late-orders/day=2026-03-01/01kf.parquet")
    False
    """

    model: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    labels: bool = False
    nobody: bool = False

    def __post_init__(self) -> None:
        if self.model is not None and not isinstance(self.model, str):
            raise UsageError("a model is named by text", value=self.model, hint='Write "late-orders".')

    def prefixes(self) -> list[str]:
        """What paths in the log begin with."""
        tree = f"{FOLDER}/" if self.labels else ""
        if self.model is None:
            return [tree]
        names = [quote(self.model, safe=""), *([NOBODY] if self.nobody else [])]
        return [f"{tree}model={name}/" for name in names]

    def folders(self, root: Path) -> Iterator[Path]:
        """The folders of these days; raises `StoreUnavailableError` for one that cannot be listed."""
        for prefix in self.prefixes():
            models = [root / prefix] if self.model is not None else listed(root / prefix, "model=*")
            for folder in (day for model in models for day in listed(model, "day=*")):
                if self._covers(folder.name):
                    yield folder

    def hold(self, path: str) -> bool:
        """Whether a file, by its path in the log, is in one of these days."""
        parts = path.split("/")
        if self.labels != (parts[0] == FOLDER) or len(parts) != 3 + self.labels:
            return False
        model, day, _ = parts[-3:]
        return model.startswith("model=") and self._covers(day) and any(map(path.startswith, self.prefixes()))

    def _covers(self, day: str) -> bool:
        first = "day=" if self.since is None else f"day={_day(self.since)}"
        last = "day=9999" if self.until is None else f"day={_day(self.until)}"
        return first <= day <= last


def both(model: str | None = None, *, nobody: bool = False) -> tuple[Days, Days]:
    """All days of predictions, and all of labels."""
    return Days(model), Days(model, labels=True, nobody=nobody)


def moment_of(value: Any, name: str) -> datetime | None:
    """A moment as somebody told it, in UTC: without a zone it is UTC, and a date is its midnight.

    Raises
    ------
    UsageError
        When it is none, or one that UTC does not have.

    Examples
    --------
    >>> moment_of("2026-03-01T14:00+02:00", "since")
    datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
        if isinstance(moment, datetime):
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        moment = value
    if moment is None:
        return None
    raise UsageError(f"{name} is no moment", value=value, hint='Write "2026-03-01T12:00:00Z", or give a datetime.')


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()
