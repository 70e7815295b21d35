"""Look up the keys of a table, and only those, in a source or with an API that knows more about them."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

import polars as pl

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.data.answers import Answers, Found, Key
from tidemill.data.declared import project_sources
from tidemill.data.enrich import (
    Enriched,
    added_columns,
    join_report,
    key_pairs,
    renamed_keys,
    require_same_types,
    require_unique,
)
from tidemill.data.expected import COUNT, TEXT, require, require_set
from tidemill.data.moments import duration
from tidemill.data.read import resolve_source, scan_source
from tidemill.data.sources.conditions import pushable
from tidemill.data.sources.csv_types import narrowed
from tidemill.data.sources.pinning import find_source
from tidemill.data.sources.schemes import connector_of, scheme_of
from tidemill.data.sources.source import Selection, Source
from tidemill.data.types import Tabular, collected, listed, physical_type, plain, polars_type, require_columns
from tidemill.engine.step import step

OnError: TypeAlias = Literal["fail", "miss"]

#: Where a key goes; ``${env:NAME}`` is no such place.
PLACE = re.compile(r"(?<!\$)\{(\w+)\}")
_API = "tidemill.integrations.api_lookup"
_WEB = ("http", "https")
_BATCH = 500
_EXAMPLES = 5
#: None of so many keys found is more likely a wrong address than bad luck.
_SUSPICIOUS = 20


@step(stage="enrich", cache=False)
def lookup(
    table: Tabular,
    source: str | Source,
    on: str | Sequence[str] | Mapping[str, str],
    *,
    columns: Sequence[str] | None = None,
    prefix: str = "",
    batch: int | None = None,
    concurrency: int = 4,
    max_age: str | None = "1d",
    on_error: OnError = "fail",
) -> Enriched:
    """Look up each row's key where more is known about it; every row stays, once, in its place.

    A database is asked for the keys that the table has, in batches, and not for the rest. An API is asked for each key
    once; its answers, also that it has none, are kept on this machine, so that a run that is killed goes on from where
    it was. Since what is there may have changed, the step always runs; what depends on it runs again if the answers
    differ.

    Parameters
    ----------
    table
        The rows.
    source
        A declared source, a path or a URI. It is an API if its ``uri``, ``resource`` or ``params`` has the key in
        braces: ``https://api.example.org/planes/{tailnum}``. An API has the options of a REST source: ``auth``,
        ``headers``, ``rate_limit``, ``retries``, ``timeout``, ``records``, ``schema``.
    on
        The key columns; a mapping where their names differ: ``{"dest": "faa"}``.
    columns, prefix
        The columns to add (by default all but the key), and what to put before their names.
    batch
        Keys of one request: 500 for a database. For an API it is 1; more are joined by commas, and the records that
        come back tell by the key's field whose they are.
    concurrency
        Requests to an API at the same time.
    max_age
        How old an answer of an API may be that is not asked for again (``"30d"``); None for any age.
    on_error
        Whether a key that an API does not answer for, after all retries, is an error or a miss that is counted. A 404
        is an answer: there is no such key.

    Raises
    ------
    DataError
        If a key repeats in the source, or the API fails: the message names URL and key, without secrets.
    SchemaError
        If columns are missing, differ in type, or would replace others.

    Warns
    -----
    UserWarning
        If an API knows none of the keys that it was asked for.
    """
    root, sources = project_sources()
    frame, pairs = collected(table), key_pairs(on)
    place = find_source(source, root=root, sources=sources)
    _check(batch, concurrency, on_error)
    require_columns(frame, pairs, purpose="the left side of the lookup")
    wanted = frame.select(*pairs).drop_nulls().unique(maintain_order=True)
    counts: dict[str, Any] = {}
    if scheme_of(place.uri) in _WEB and places(place):
        limits = _Limits(batch or 1, concurrency, max_age, on_error)
        right, counts = _from_api(place, root, wanted, pairs, limits)
        right = _typed(right, place, pairs, columns)
    else:
        right = _from_source(place, root, wanted, pairs, columns, batch or _BATCH)
    added = added_columns(frame, right, list(pairs.values()), columns, prefix)
    partner = right.select(
        *renamed_keys(pairs), *[pl.col(a).alias(b) for a, b in added.items()], pl.lit(value=True).alias("found:")
    )
    joined = frame.join(partner, on=list(pairs), how="left", maintain_order="left")
    matched = joined["found:"].fill_null(value=False)
    report = replace(join_report("lookup", frame, pairs, matched, added, None, {}), **counts)
    return Enriched(joined.drop("found:"), report)


class _Limits:
    def __init__(self, batch: int, concurrency: int, max_age: str | None, on_error: OnError) -> None:
        self.batch, self.concurrency, self.on_error = batch, concurrency, on_error
        self.oldest = None if max_age is None else duration(max_age).total_seconds()


def places(source: Source) -> list[str]:
    """The names that stand in braces in the source's ``uri``, ``resource`` or ``params``.

    >>> places(Source("planes", "https://api.example.org/planes/{tailnum}?token=${env:TOKEN}"))
    ['tailnum']
    """
    options = source.options
    texts = [source.uri, options.get("resource", ""), *map(str, options.get("params", {}).values())]
    return list(dict.fromkeys(name for text in texts for name in PLACE.findall(text)))


def _from_source(
    source: Source,
    root: Path,
    wanted: pl.DataFrame,
    pairs: Mapping[str, str],
    columns: Sequence[str] | None,
    batch: int,
) -> pl.DataFrame:
    """The rows of a source that have one of the keys."""
    there = list(pairs.values())
    chosen = None if columns is None else list(dict.fromkeys([*there, *listed(columns)]))
    sides = [wanted.slice(at, batch) for at in range(0, max(wanted.height, 1), batch)]
    conditions = [_condition(side, pairs) for side in sides]
    is_database = connector_of(source) is not None and scheme_of(source.uri) not in _WEB
    if not is_database or any(where is None for where in conditions):
        conditions = [None]  # read once, and filtered here
    keys = wanted.rename(dict(pairs))
    parts = []
    for where in conditions:
        selection = Selection(None if chosen is None else tuple(chosen), where)
        pinned = resolve_source(source, root=root, sources={}, selection=selection)
        rows = scan_source(pinned, root=root, columns=chosen, where=where)
        require_columns(rows, there, purpose=f"the lookup in source {source.name!r}")
        kinds = rows.collect_schema()
        unknown = {name: keys.schema[name] for name in there if kinds[name] == pl.Null}  # of a column without values
        rows = rows.with_columns(pl.col(name).cast(kind) for name, kind in unknown.items())
        require_same_types(wanted, pl.DataFrame(schema=rows.collect_schema()), pairs)
        parts.append(rows.join(keys.lazy(), on=there, how="semi", maintain_order="left").collect())
    found = pl.concat(parts, how="vertical_relaxed")
    if len(there) > 1:
        found = found.unique(maintain_order=True)  # batches of several keys overlap
    require_unique(found, there)
    return found


def _condition(side: pl.DataFrame, pairs: Mapping[str, str]) -> str | None:
    """A condition that a database can be asked with for rows of these keys; None if it is not asked exactly this."""
    terms = []
    for here, there in pairs.items():
        values = side[here].unique(maintain_order=True).to_list()
        texts = [
            f"'{value.replace(chr(39), chr(39) * 2)}'" if isinstance(value, str) else str(value) for value in values
        ]
        terms.append(f'"{there.replace(chr(34), chr(34) * 2)}" IN ({", ".join(texts)})')
    where = " AND ".join(terms)
    return where if side.height and len(pushable(where)) == len(terms) else None


def _quoted(text: str, sign: str) -> str:
    return f"{sign}{text.replace(sign, sign * 2)}{sign}"


def _from_api(
    source: Source, root: Path, wanted: pl.DataFrame, pairs: Mapping[str, str], limits: _Limits
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """A row for each key that the API knows, and what to report."""
    api = importlib.import_module(_API)
    api.require_places(source, list(pairs.values()))
    keys = {tuple(_text(value, wanted, pairs) for value in row): at for at, row in enumerate(wanted.rows())}
    failed: list[tuple[Key, DataError]] = []
    with Answers(root, api.endpoint(source), limits.oldest) as answers:
        known = {key: record for key, record in answers.known().items() if key in keys}
        missing = [key for key in keys if key not in known]
        asked = api.ask(
            source, root, list(pairs.values()), missing, batch=limits.batch, threads=limits.concurrency
        )  # fmt: skip
        for key, record, error in asked:
            if error is None:
                answers.add(key, record)
                known[key] = record
            elif limits.on_error == "fail":
                asked.close()
                raise DataError(
                    f"{error.what}; it was asked for the key {', '.join(key)!r}", value=error.value, hint=error.hint
                ) from error
            else:
                failed.append((key, error))
    _warn_if_nothing(source, known, missing)
    found = [(keys[key], record) for key, record in known.items() if record is not None]
    examples = tuple((plain(key[0] if len(key) == 1 else key), str(error)) for key, error in failed[:_EXAMPLES])
    counts = {
        "asked": len(missing), "remembered": len(keys) - len(missing), "failures": len(failed), "failed": examples,
    }  # fmt: skip
    records = _table([record for _, record in found], source, pairs)
    return pl.concat([wanted[[at for at, _ in found]].rename(dict(pairs)), records], how="horizontal"), counts


def _text(value: Any, wanted: pl.DataFrame, pairs: Mapping[str, str]) -> str:
    if not isinstance(value, str | int | Decimal | date):
        kinds = [physical_type(wanted.schema[name]) for name in pairs]
        raise SchemaError(
            "an API is asked for texts, whole numbers and days, not for these keys", value=kinds, hint="Cast them."
        )
    text: str = importlib.import_module(_API).as_text(value)
    return text


def _table(records: Sequence[Mapping[str, Any]], source: Source, pairs: Mapping[str, str]) -> pl.DataFrame:
    rows = [{name: value for name, value in record.items() if name not in pairs.values()} for record in records]
    if not any(rows):
        return pl.DataFrame()
    try:
        return pl.DataFrame(rows, infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise DataError(
            f"the records of {source.name!r} are no table: {str(error).splitlines()[0]}",
            hint="Choose columns, or check records, the path to the record in an answer.",
        ) from error


def _typed(
    right: pl.DataFrame, source: Source, pairs: Mapping[str, str], columns: Sequence[str] | None
) -> pl.DataFrame:
    """The table with the columns that were asked for and the types that were declared, also when nothing was found."""
    fixed = {name: polars_type(kind) for name, kind in source.options.get("schema", {}).items()}
    expected = [*fixed, *([] if right.height else columns or [])]
    right = right.with_columns(
        pl.lit(None, dtype=fixed.get(name, pl.Null())).alias(name) for name in expected if name not in right.columns
    )
    for name, kind in fixed.items():
        values = right[name]
        if name in pairs.values() or values.dtype == kind:
            continue
        if kind.is_temporal() and values.dtype == pl.String:
            values = narrowed(values, dates=True, numbers=False)
        try:
            right = right.with_columns(values.cast(kind))
        except pl.exceptions.PolarsError as error:
            raise SchemaError(
                f"column {name!r} of {source.name!r} does not hold values of its declared type: "
                f"{str(error).splitlines()[0]}",
                hint="Correct the source's schema option, or leave the column out of it.",
            ) from error
    return right


def _warn_if_nothing(source: Source, known: Mapping[Key, Found], missing: Sequence[Key]) -> None:
    answered = [key for key in missing if key in known]
    if len(answered) >= _SUSPICIOUS and all(known[key] is None for key in answered):
        warnings.warn(
            f"the API {source.name!r} knows none of the {len(answered):,} keys that it was asked for, such as "
            f"{', '.join(answered[0])!r}: is its address right?",
            UserWarning,
            stacklevel=4,
        )


def _check(batch: int | None, concurrency: int, on_error: str) -> None:
    require("lookup", concurrency=(concurrency, COUNT), on_error=(on_error, TEXT))
    require_set("lookup", batch=(batch, COUNT))
    for name, value in (("batch", 1 if batch is None else batch), ("concurrency", concurrency)):
        if value < 1:
            raise UsageError(f"{name} is not a whole number from 1", value=value, hint=f"Write {name}=4, say.")
    if on_error not in ("fail", "miss"):
        raise UsageError("on_error is unknown", value=on_error, hint="Use 'fail' or 'miss'.")
