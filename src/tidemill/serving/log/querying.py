"""Query the prediction log, with the labels that have come since, and add labels to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core import clock
from tidemill.core.errors import UsageError
from tidemill.project import current_project, find_project_store
from tidemill.registry.versions import answers_of
from tidemill.serving.log import joining
from tidemill.serving.log.joining import with_labels
from tidemill.serving.log.labelling import LabelLog, PrivacyOf, ShapeOf, read_labels
from tidemill.serving.log.privacy import OPEN
from tidemill.serving.log.reading import scan_log
from tidemill.serving.log.shapes import shape_of
from tidemill.serving.options import server_options
from tidemill.serving.plans import plan_privacy

#: So many labels are one record of a segment.
_RECORD = 10_000
#: Who runs SQL, where it is installed.
_ENGINE = "tidemill.integrations.duckdb_query"


def predictions(
    root: str | Path | None = None,
    model: str | None = None,
    *,
    since: datetime | date | str | None = None,
    until: datetime | date | str | None = None,
    labels: bool = False,
    window: timedelta | None = None,
    local: bool = False,
) -> pl.LazyFrame:
    """Everything that was asked and answered, as a lazy table.

    Parameters
    ----------
    root
        The log's folder; the current project's by default.
    model
        Of this model only.
    since, until
        From this moment on, and before that one; days outside are not read. A datetime, a date or ISO text: without a
        zone it is UTC, and a date is its midnight.
    labels
        Whether to add the truth that has arrived since: ``label`` (text, as ``prediction`` is), ``label_at`` and
        ``label_delay_s``, missing where there is none. Of a model with several labels, ``label.<name>`` says of each
        whether it holds, missing where that was not told.
    window
        A label of an entity belongs to the last prediction about it before the label's time; with a window, only if
        that was made no longer before.
    local
        Whether to leave out what is in an archive only, as where it cannot be reached.

    Returns
    -------
    polars.LazyFrame
        ``request_id``, ``row``, ``ts``, ``model``, ``version``, ``variant``, ``schema``, ``prediction`` (text),
        ``probability``, ``probabilities``, ``warnings``, ``status`` (answered, refused, failed), ``error``,
        ``latency_ms``, ``client``, ``entity``, ``sample`` (the chance that the row had to be written down), and
        ``features.<column>`` for each input of the models.

    Raises
    ------
    StoreUnavailableError
        When a folder, a file or an archive of the log cannot be read; never are there fewer rows instead.
    DataError
        When a sealed file is damaged or cut off.
    UsageError
        When a moment is none.
    """
    folder = log_folder() if root is None else root
    frame = scan_log(folder, model, since=since, until=until, local=local).frame
    return with_labels(frame, folder, model, since, window, local=local) if labels else frame


def log_labels(labels: Any, model: str | None = None, *, root: str | Path | None = None) -> int:
    """Write labels into the prediction log; they are on the disk when it returns.

    Parameters
    ----------
    labels
        Mappings, or a table of Polars, pandas or Arrow, with ``label`` and either ``request_id`` (and ``row``, where a
        request had several) or ``entity`` (and ``as_of``, the time before which the prediction was made); ``at`` is
        the moment of the truth, by default now. Told twice, a label counts once; of different ones, the newest ``at``
        counts, then the newest arrival. Where the model is registered in the project's store, a label that none of its
        versions could have answered is refused; ``unseen`` says that it is of a class which the model has yet to learn.
    model
        The model that those are about that have no ``model`` of their own.
    root
        The log's folder; the current project's by default.

    Returns
    -------
    int
        How many were written.

    Raises
    ------
    InvalidRequestError
        For the first label that cannot be taken; none is written then.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     log_labels([{"request_id": "01kg", "label": True}], "flight-delay", root=folder)
    1
    """
    folder = Path(log_folder() if root is None else root)
    now = clock.now_us()
    told = read_labels(_items(labels), now, _privacies(), model, _shapes())
    log = LabelLog(folder)
    try:
        for name, group in told.items():
            for start in range(0, len(group), _RECORD):
                log.append({name: group[start : start + _RECORD]}, now)
    finally:
        log.close()
    return sum(map(len, told.values()))


def label_history(model: str | None = None, *, root: str | Path | None = None, local: bool = False) -> pl.DataFrame:
    """Every label that was told about predictions, corrected ones and repetitions too.

    Parameters
    ----------
    model
        Of this model only.
    root
        The log's folder; the current project's by default.
    local
        As for `predictions`.

    Returns
    -------
    polars.DataFrame
        ``model`` (as it was told), ``request_id``, ``row``, ``entity``, ``label``, ``at`` (the moment of the truth),
        ``arrived``, and ``holds``: whether it is the one that counts of its row now; missing if it belongs to no
        prediction in this log. Of a row, the oldest truth is first.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     log_labels([{"request_id": "01kg", "label": True}], "flight-delay", root=folder)
    ...     label_history("flight-delay", root=folder).select("request_id", "label", "holds").rows()
    1
    [('01kg', 'true', None)]
    """
    return joining.label_history(log_folder() if root is None else root, model, local=local)


def query_log(sql: str, frame: pl.LazyFrame) -> pl.DataFrame:
    """The rows of a SQL query over ``predictions``, run by DuckDB.

    Parameters
    ----------
    sql
        Such as ``select version, count(*) from predictions group by version``.
    frame
        What is called so: of `predictions`.

    Raises
    ------
    MissingExtraError
        When DuckDB is not installed.
    UsageError
        When the query cannot be run.
    """
    engine = import_module(_ENGINE)
    found: pl.DataFrame = engine.query(sql, {"predictions": frame.collect()})
    return found


def log_folder() -> Path:
    """Where the current project's servers log."""
    return Path(server_options(current_project()).log)


def hash_key() -> str:
    """The key of the hashes in the current project's log; empty if it has none."""
    return server_options(current_project()).hash_key


def _privacies() -> PrivacyOf:
    project = current_project()
    planned = plan_privacy(project, server_options(project).hash_key) if project.endpoints else {}
    return lambda name: planned.get(name, OPEN)


def _shapes() -> ShapeOf:
    """What the labels of models look like that are registered in the current project."""
    store = find_project_store(current_project())
    return lambda name: None if store is None else shape_of(answers_of(store, name))


def _items(labels: Any) -> Iterable[Mapping[str, Any]]:
    if isinstance(labels, pl.LazyFrame):
        labels = labels.collect()
    if not isinstance(labels, pl.DataFrame) and (hasattr(labels, "__arrow_c_stream__") or hasattr(labels, "iloc")):
        labels = pl.DataFrame(labels)
    if isinstance(labels, pl.DataFrame):
        return labels.iter_rows(named=True)
    if isinstance(labels, Mapping | str | bytes) or not isinstance(labels, Iterable):
        raise UsageError("these are no labels", value=type(labels).__name__, hint="Give mappings, or a table.")
    return labels
