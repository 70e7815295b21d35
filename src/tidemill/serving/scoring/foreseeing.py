"""Whether look-ups can work, as far as that is known before anybody asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tidemill.core.errors import ConfigError, NotFoundError, TidemillError, UsageError
from tidemill.data.sources.dialect import dialect_of, header_of
from tidemill.data.sources.pinning import find_source
from tidemill.data.sources.schemes import REMOTE, connector_of, locator_of, scheme_of
from tidemill.data.sources.source import Source
from tidemill.project import Project, reveal
from tidemill.project.settings import nearest
from tidemill.serving.plans import EndpointPlan
from tidemill.serving.scoring.tables import place_of, require_reader
from tidemill.store.file_systems import require_client

_HEAD = 1 << 20


def check_lookups(plan: EndpointPlan, project: Project) -> None:
    """Refuse settings with which every look-up would fail.

    Raises
    ------
    ConfigError
        If nothing reads the table or the source, no such source is declared, or it has no such column.
    MissingExtraError
        If the package that reads one of them is not installed.
    """
    about = f"of [endpoints.{plan.name}]"
    if plan.precomputed:
        uri, root = plan.precomputed, project.root
        try:
            place = place_of(uri, root, revealed=reveal(uri, root=root))
        except UsageError as error:
            raise ConfigError(f"precomputed {about}: {error.what}", value=error.value, hint=error.hint) from error
        require_reader(place)
    if plan.rows:
        try:
            source = find_source(plan.rows, root=project.root, sources=project.sources)
        except NotFoundError as error:
            raise ConfigError(f"rows {about}: {error.what}", value=error.value, hint=error.hint) from error
        _require_connector(source)
        names = _columns(source, project.root)
        if names is not None and plan.entity not in names:
            what = f"entity {about}: the source {plan.rows!r} has no such column"
            raise ConfigError(what, value=plan.entity, hint=nearest(plan.entity, names))


def _require_connector(source: Source) -> None:
    if connector_of(source) is None:
        if scheme_of(source.uri) in REMOTE:
            require_client(source.uri, f"the source {source.name}")
        else:
            locator_of(source.uri)


def _columns(source: Source, root: Path) -> Sequence[str] | None:
    """The columns of one plain file on this machine, by its head; None where only reading it would tell, or later."""
    is_plain = scheme_of(source.uri) in ("", "file") and "=" not in source.uri
    if not is_plain or source.options.keys() - {"separator", "quote"}:
        return None
    try:
        paths = locator_of(source.uri)(source.uri, root)
        kind = paths[0].suffix.lower() if len(paths) == 1 else ""
        if kind == ".parquet" and source.format in (None, "parquet"):
            return list(pl.read_parquet_schema(paths[0]))
        if kind == ".csv" and source.format in (None, "csv"):
            with paths[0].open("rb") as file:
                head = file.read(_HEAD)
            return header_of(head, dialect_of(head, source.options), paths[0].name, has_names=True).names
    except (TidemillError, pl.exceptions.PolarsError, OSError):  # it may be another one when it is asked for
        return None
    return None
