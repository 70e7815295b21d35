"""Web pages as sources: declared in `tidemill.toml`, fetched politely, their rows found by CSS selectors.

::

    [sources.quotes]
    uri = "https://quotes.example.org/"
    format = "html"
    rows = "div.quote"
    fields = { text = "span.text", author = "small.author", about = "a@href", tags = "a.tag[]" }
    next = "li.next a"

or, for the rows of an HTML table, ``table = "1"`` (its number on the page, or a CSS selector).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.errors import ConfigError, DataError
from tidemill.data.sources.cache import cached, keep, receiving
from tidemill.data.sources.csv_types import narrowed
from tidemill.data.sources.pinning import changed
from tidemill.data.sources.selecting import newest, selected
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import ResolvedSource, Selection, Source, SourceFile, Window
from tidemill.data.types import polars_type
from tidemill.integrations.html_crawl import crawl
from tidemill.integrations.html_extract import Field, Page, Record, parse_field
from tidemill.integrations.html_pages import Site
from tidemill.integrations.records import as_declared
from tidemill.project import reveal, reveal_all

_NAME = "rows.ndjson"
#: Where a row comes from: the page, its number in the order of reading, and when its content was first fetched.
PROVENANCE = ("_url", "_page", "_fetched_at")


def pin(
    source: Source,
    root: Path,
    selection: Selection,  # noqa: ARG001 — a page cannot be asked for a part of it
    window: Window | None,
) -> tuple[tuple[SourceFile, ...], Window | None]:
    """Read every page, and pin the rows by their content.

    Raises
    ------
    ConfigError
        If the declaration is incomplete or a selector cannot be read.
    DataError
        If a page cannot be had, or nothing on the pages matches; the message names the URL.
    """
    path, file = _fetch(source, root)
    if window is None or window.upto is not None:
        return (file,), window
    frame = _frame(path, source)
    return (file,), Window(window.column, window.after, newest(frame.lazy(), window.column, source.name))


def scan(resolved: ResolvedSource, root: Path, selection: Selection) -> pl.LazyFrame:  # noqa: ARG001
    """The rows that were pinned, as a table: types come from all of them, the option ``schema`` fixes some."""
    source, (file,) = resolved.source, resolved.files
    path = cached(root, file.digest, _NAME)
    if path is None:
        path, again = _fetch(source, root)
        if again.digest != file.digest:
            raise changed(source, file)
    return selected(_frame(path, source).lazy(), source, Selection(), resolved.window)


def _fetch(source: Source, root: Path) -> tuple[Path, SourceFile]:
    options = reveal_all(dict(source.options), root=root)
    fields = _fields(source.name, options)
    start = reveal(source.uri, root=root)
    rows = pages = 0
    with Site(source.name, start, options, root) as site, receiving(root) as temporary:
        with temporary.open("w", encoding="utf-8") as out:
            for found, page in crawl(site, start, options):
                pages += 1
                origin = dict(zip(PROVENANCE, (shown(found.url), pages, found.at.isoformat()), strict=True))
                for record in _records(page, options, fields):
                    rows += 1
                    taken = origin if options.get("provenance", True) else {}
                    out.write(f"{json.dumps({**record, **taken}, ensure_ascii=False)}\n")
        if not rows:
            raise _nothing(site, start, options, pages)
        path, digest = keep(root, temporary, _NAME)
    return path, SourceFile(shown(source.uri), path.stat().st_size, digest)


def _fields(source: str, options: Mapping[str, Any]) -> dict[str, Field]:
    has_fields, has_table = bool(options.get("fields")), "table" in options
    if has_fields == has_table or ("rows" in options and has_table):
        raise ConfigError(
            f"[sources.{source}] reads web pages and needs either fields (with rows) or table",
            value=sorted(name for name in ("rows", "fields", "table") if name in options),
            hint='Write rows = "div.item" and fields = { name = "h2", link = "a@href" }, or table = "1".',
        )
    taken = sorted(set(options.get("fields", {})) & set(PROVENANCE))
    if taken:
        raise ConfigError(
            f"[sources.{source}] has fields named like columns that tell where a row comes from",
            value=taken,
            hint="Choose other names.",
        )
    return {name: parse_field(str(text)) for name, text in options.get("fields", {}).items()}


def _records(page: Page, options: Mapping[str, Any], fields: Mapping[str, Field]) -> list[Record]:
    if fields:
        return page.records(options.get("rows"), fields)
    return page.table(str(options["table"])) or []


def _nothing(site: Site, start: str, options: Mapping[str, Any], pages: int) -> DataError:
    if not pages:
        return site.error(f"has no links that follow = {options.get('follow')!r} selects", start, "Check the selector.")
    what = f"rows = {options.get('rows')!r}" if options.get("fields") else f"table = {options.get('table')!r}"
    more = f", and neither have {pages - 1} more" if pages > 1 else ""
    hint = "Check the selector in the page's source: what scripts add in a browser is not there."
    return site.error(f"has nothing that {what} selects{more}", start, hint)


def _frame(path: Path, source: Source) -> pl.DataFrame:
    frame = pl.read_ndjson(path, infer_schema_length=None)
    fixed = {name: polars_type(kind) for name, kind in source.options.get("schema", {}).items()}
    dates = source.options.get("dates", True)
    columns = [
        narrowed(column, dates=dates)
        for column in frame.iter_columns()
        if column.dtype == pl.String and column.name not in (*PROVENANCE, *fixed)
    ]
    if "_fetched_at" in frame.columns:
        columns.append(narrowed(frame["_fetched_at"], dates=True, numbers=False))
    return as_declared(frame.with_columns(columns), fixed, source.name)
