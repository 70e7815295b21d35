"""REST APIs as sources: declared in `tidemill.toml`, read page by page, kept as the records that came.

::

    [sources.orders]
    uri = "https://api.example.org/v1"
    resource = "orders"
    auth = { kind = "bearer", token = "${env:API_TOKEN}" }
    pagination = { kind = "cursor", param = "cursor", next = "meta.next" }
    records = "data"
    cursor = "updated_at"
    cursor_param = "since"
"""

from __future__ import annotations

import json
import warnings
from datetime import date, datetime
from pathlib import Path

import polars as pl

from tidemill.core.errors import DataError
from tidemill.data.sources.cache import cached, keep, receiving
from tidemill.data.sources.csv_types import narrowed
from tidemill.data.sources.pinning import changed
from tidemill.data.sources.selecting import columns_needed, newest, selected
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import CursorValue, ResolvedSource, Selection, Source, SourceFile, Window
from tidemill.data.types import polars_type
from tidemill.integrations.records import as_declared
from tidemill.integrations.rest_client import Client
from tidemill.integrations.rest_pages import pages
from tidemill.project import reveal, reveal_all

_NAME = "records.ndjson"


def pin(
    source: Source, root: Path, selection: Selection, window: Window | None
) -> tuple[tuple[SourceFile, ...], Window | None]:
    """Fetch every page, and pin the records by their content.

    Raises
    ------
    DataError
        If the API does not answer as it should: the message names the URL, without secrets, and what it said.
    """
    after = None if window is None else window.after
    path, file = _fetch(source, root, after)
    if window is None or window.upto is not None:
        return (file,), window
    frame = _frame(path, source, selection, window)
    upto = None if frame.is_empty() else newest(frame.lazy(), window.column, source.name)
    return (file,), Window(window.column, window.after, upto)


def scan(resolved: ResolvedSource, root: Path, selection: Selection) -> pl.LazyFrame:
    """The records that were pinned, as a table: types come from all of them, the option ``schema`` fixes some."""
    source, (file,) = resolved.source, resolved.files
    path = cached(root, file.digest, _NAME)
    if path is None:
        path, again = _fetch(source, root, None if resolved.window is None else resolved.window.after)
        if again.digest != file.digest:
            raise changed(source, file)
    frame = _frame(path, source, selection, resolved.window)
    if frame.is_empty() and not source.options.get("schema"):
        warnings.warn(
            f"the API of source {source.name!r} gave no records, so that nothing is known of its columns but "
            f'{frame.columns}: declare them, as schema = {{ id = "int64" }}',
            UserWarning,
            stacklevel=2,
        )
    return selected(frame.lazy(), source, Selection(), resolved.window)


def _fetch(source: Source, root: Path, after: CursorValue | None) -> tuple[Path, SourceFile]:
    options = reveal_all(dict(source.options), root=root)
    base = reveal(source.uri, root=root).rstrip("/")
    resource = str(options.get("resource", "")).strip("/")
    address = f"{base}/{resource}" if resource else base
    parameters = dict(options.get("params", {}))
    if after is not None and "cursor_param" in options:
        parameters[options["cursor_param"]] = _as_parameter(after)
    with Client(source.name, address, options) as client, receiving(root) as temporary:
        with temporary.open("w", encoding="utf-8") as out:
            for records in pages(client, parameters, options):
                out.writelines(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)
        path, digest = keep(root, temporary, _NAME)
    shown_address = shown(f"{source.uri.rstrip('/')}/{resource}" if resource else source.uri)
    return path, SourceFile(shown_address, path.stat().st_size, digest)


def _as_parameter(value: CursorValue) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime | date) else str(value)


def _frame(path: Path, source: Source, selection: Selection, window: Window | None) -> pl.DataFrame:
    fixed = {name: polars_type(kind) for name, kind in source.options.get("schema", {}).items()}
    if path.stat().st_size == 0:
        wanted = columns_needed(source, selection, window) or ([] if window is None else [window.column])
        return pl.DataFrame(schema={**dict.fromkeys(wanted, pl.Null()), **fixed})
    try:
        frame = pl.read_ndjson(path, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"the records of source {source.name!r} are no table: {str(error).splitlines()[0]}",
            hint="Check records, the path to the list of records in an answer.",
        ) from error
    texts = [name for name, kind in frame.schema.items() if kind == pl.String and name not in fixed]
    if source.options.get("dates", True):
        frame = frame.with_columns(narrowed(frame[name], dates=True, numbers=False) for name in texts)
    return as_declared(frame, fixed, source.name)
