"""One entity's prediction: from the table that was made before, or from its newest row."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import polars as pl

from tidemill.core import clock
from tidemill.core.errors import StoreUnavailableError, TidemillError, message_of
from tidemill.core.model import Signature
from tidemill.data.read import scan_source
from tidemill.data.sources.pinning import find_source, resolve_source
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import ResolvedSource, Selection
from tidemill.project import current_project, reveal
from tidemill.serving.scoring.answers import answer_of
from tidemill.serving.scoring.cells import typed_cells
from tidemill.serving.scoring.rows import as_written, text_inputs
from tidemill.serving.scoring.sql_table import is_whole
from tidemill.serving.scoring.tables import find_prediction, place_of

_log = logging.getLogger("tidemill.serving")
_FOLDERS = re.compile(r"(?<![\w:/])/(?:[^\s/'\"]+/)+")
_LONGEST = 200
#: What was written into the log, and when.
_told: dict[str, float] = {}
_SELDOM_SECONDS, _MOST_TOLD = 60.0, 100


class EntityRows(Protocol):
    """Whatever has the newest row of an entity: a source, or a feature store."""

    def newest(self, entity: str) -> Mapping[str, Any] | None:
        """The columns of the entity's newest row; None if it is not known.

        Raises
        ------
        StoreUnavailableError
            When it does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class SourceRows:
    """The rows of a source of the project, newest by its event time, else the last one.

    Parameters
    ----------
    source
        Its name.
    entity
        The column that says whom a row is about.
    signature
        Of the model: what its cells stand for in a format that has nothing but text.
    """

    source: str
    entity: str
    signature: Signature

    def newest(self, entity: str) -> Mapping[str, Any] | None:
        """See `EntityRows`; the source is read as it is now, a database only as far as the entity goes."""
        try:
            return self._newest(entity)
        except (TidemillError, pl.exceptions.PolarsError, OSError) as error:
            what = f"the source {self.source!r} cannot be read"
            _tell(what, error)
            hint = "The log of the server says more."
            raise StoreUnavailableError(f"{what}: {_reason(error)}", hint=hint) from error

    def _newest(self, entity: str) -> Mapping[str, Any] | None:
        name = '"' + self.entity.replace('"', '""') + '"'
        text = "'" + entity.replace("'", "''") + "'"
        if is_whole(entity, beyond=2**64):
            with suppress(TidemillError, pl.exceptions.PolarsError):  # it may be text; if it is more, that fails too
                found, resolved = self._selected(f"{name} = {entity}")
                if found.schema[self.entity].is_numeric():
                    return self._row(found, resolved, entity)
        try:
            return self._row(*self._selected(f"{name} = {text}"), entity)
        except pl.exceptions.ComputeError:  # the column has numbers, and this is none of them
            return None
        except TidemillError:
            kind = self._selected(f"{name} IS NULL AND 1 = 0")[0].schema[self.entity]
            if kind in (pl.String, pl.Null) or (kind.is_numeric() and is_whole(entity)):
                raise
            return None  # the keys are of a type that this cannot be

    def _row(self, found: pl.DataFrame, resolved: ResolvedSource, entity: str) -> Mapping[str, Any] | None:
        if not found.height or not _is_called(found[0, self.entity], entity):
            return None
        return typed_cells(found, self.signature, text_inputs(resolved, found.schema, self.signature))[0]

    def _selected(self, where: str) -> tuple[pl.DataFrame, ResolvedSource]:
        """The newest row of those that are meant, if there is one, and where it was read."""
        project = current_project()
        source = find_source(self.source, root=project.root, sources=project.sources)
        wanted = Selection(None, where, None, None)
        resolved = resolve_source(source, root=project.root, sources=project.sources, selection=wanted)
        resolved, _ = as_written(project, resolved, self.signature, self.entity)
        rows = scan_source(resolved, root=project.root, where=where)
        if source.event_time is not None:
            rows = rows.sort(source.event_time, maintain_order=True, nulls_last=False)
        return rows.tail(1).collect(), resolved


def _is_called(key: Any, entity: str) -> bool:
    """Whether a key is the one that was asked for: to databases 014, 14.0 and words of the same number are 14.

    >>> [_is_called(key, "14") for key in (14, 14.0, "14", 14.5)], _is_called(14, "014")
    ([True, True, True, False], False)
    """
    if isinstance(key, float) and key.is_integer() and is_whole(entity):
        return int(key) == int(entity)
    return not isinstance(key, int | float) or isinstance(key, bool) or str(key) == entity


@dataclass(frozen=True, slots=True)
class Found:
    """What a table says of an entity, or why that is not to be used.

    Parameters
    ----------
    answer
        As the predictor gave it; None if there is none to be used.
    as_of, scored_at
        Of the answer, if the table has times.
    why
        Why there is none.
    is_broken
        Whether that is since the table cannot be read.
    """

    answer: dict[str, Any] | None = None
    as_of: datetime | None = None
    scored_at: datetime | None = None
    why: str = ""
    is_broken: bool = False


def look_up(uri: str, entity: str, version: int | None, signature: Signature, max_age: timedelta | None) -> Found:
    """What the table at a URI says of an entity, unless it is missing, too old or of another version.

    Parameters
    ----------
    uri
        As ``[endpoints.NAME] precomputed`` has it.
    entity
        Whom.
    version, signature
        The version that answers now.
    max_age
        Since when it must have been scored.
    """
    root = current_project().root
    try:
        row = find_prediction(place_of(uri, root, revealed=reveal(uri, root=root)), entity)
    except TidemillError as error:  # whoever can be asked live is
        _tell(f"the precomputed predictions in {shown(uri)} cannot be read", error)
        return Found(why=f"the precomputed predictions cannot be read: {_reason(error)}", is_broken=True)
    if row is not None and not {"version", "scored_at"} <= row.keys():
        return Found(why="the table of precomputed predictions is none that tidemill score wrote", is_broken=True)
    if row is None:
        return Found(why="no prediction was precomputed")
    if row["version"] != version:
        return Found(why=f"precomputed by version {row['version']}, and version {version} answers now")
    age = datetime.fromtimestamp(clock.now_us() / 1e6, UTC) - row["scored_at"]
    if max_age is not None and age > max_age:
        old, most = int(age.total_seconds()), int(max_age.total_seconds())
        return Found(why=f"precomputed {old} seconds ago, and max_age is {most}")
    if row.get("error") is not None:
        return Found(why=f"the precomputed row could not be scored: {row['error']}")
    return Found(answer_of(signature, row), row.get("as_of"), row["scored_at"])


def live_row(rows: EntityRows, entity: str, inputs: Sequence[str]) -> dict[str, Any] | None:
    """The inputs of a model from the newest row of an entity; None if it is not known.

    Raises
    ------
    StoreUnavailableError
        If the row lacks an input, or cannot be read.
    """
    row = rows.newest(entity)
    if row is None:
        return None
    lacking = [name for name in inputs if name not in row]
    if lacking:
        what = "the newest row lacks inputs of the model"
        raise StoreUnavailableError(what, value=lacking, hint="The server has to name another source.")
    return {name: row[name] for name in inputs}


def _reason(error: Exception) -> str:
    """Why something cannot be read, for clients: in one line, without the folders of this machine."""
    text = " ".join((error.what if isinstance(error, TidemillError) else message_of(error)).split())
    return _FOLDERS.sub("", text)[:_LONGEST].rstrip(".")


def _tell(what: str, error: Exception) -> None:
    """Write it into the server's log, the same again after a minute only."""
    text, now = f"{what}: {error}", clock.elapsed()
    if now - _told.get(text, -_SELDOM_SECONDS) >= _SELDOM_SECONDS:
        if len(_told) >= _MOST_TOLD:
            _told.clear()
        _told[text] = now
        _log.warning("%s", text)
