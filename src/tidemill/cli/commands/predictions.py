"""`tidemill predictions [MODEL]`, `tidemill predictions archive|coverage|erase|labels`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import polars as pl

from tidemill.cli.commands.predictions_erase import erase
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import duration, emit, number, table
from tidemill.core.errors import UsageError
from tidemill.project import use_project
from tidemill.serving.log.archive import Archive
from tidemill.serving.log.joining import LabelCoverage, label_coverage
from tidemill.serving.log.privacy import ENTITY, hashed
from tidemill.serving.log.querying import hash_key, label_history, log_folder, predictions, query_log
from tidemill.serving.log.reading import check_logged
from tidemill.serving.log.sealing import archive_sealed, seal
from tidemill.serving.options import server_options

_SHOWN = ("ts", "request_id", "model", "version", "status", "prediction", "probability", "latency_ms")
_LABELLED = (*_SHOWN[:-1], "label", "label_delay_s")
_TOLD = ("request_id", "row", "entity", "label", "at", "arrived", "holds")
_RIGHT = ["probability", "latency_ms", "label_delay_s"]


class _Listing(click.Group):
    """A group that lists unless a subcommand is named: ``tidemill predictions late-orders``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(name="predictions", cls=_Listing)
def command() -> None:
    """Read the prediction log: everything that was asked and answered.

    `tidemill predictions MODEL` is short for `tidemill predictions list MODEL`.
    """


command.add_command(erase)


@command.command(name="list", short_help="List predictions, the newest last.")
@click.argument("model", required=False)
@click.option("--since", type=click.DateTime(), help="From this moment on (UTC).")
@click.option("--until", type=click.DateTime(), help="Before this moment (UTC).")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="The newest so many.")
@click.option("--log", type=click.Path(path_type=Path), help="Folder of the prediction log.")
@click.option("--local", is_flag=True, help="Without what is in an archive only.")
@click.option("--where", help='A SQL condition on the columns, such as "probability > 0.8".')
@click.option("--labels", is_flag=True, help="With the labels that have come since.")
@click.option("--sql", help='A query, such as "select version, count(*) from predictions group by 1"; DuckDB runs it.')
@shared
def list_(
    setup: Setup,
    *,
    model: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    log: Path | None,
    local: bool,
    where: str | None,
    labels: bool,
    sql: str | None,
) -> None:
    """List what was asked and answered, of MODEL only if it is given."""
    with use_project(setup.project()):
        frame = predictions(log, model, since=_utc(since), until=_utc(until), labels=labels, local=local)
        found = _filtered(frame, where) if where else frame
        if sql is not None:
            _show_query(setup, query_log(sql, found))
            return
        if model is not None:
            check_logged(log or log_folder(), model)
        total = found.select(pl.len()).collect().item()
        newest = found.sort("ts", "request_id", "row").tail(limit).collect()
    if setup.json:
        for row in newest.to_dicts():
            emit({"prediction": row})
        emit({"status": "listed", "rows": newest.height, "total": total})
    elif not total:
        click.echo("no predictions like that" if model or where or since or until else "no predictions yet")
    else:
        shown = _LABELLED if labels else _SHOWN
        right = [name for name in _RIGHT if name in shown]
        click.echo(table(list(shown), [_row(row, shown) for row in newest.to_dicts()], right=right))
        click.echo(f"{newest.height:,} of {total:,} rows")


@command.command(short_help="Say how many predictions have their labels, and how late those came.")
@click.argument("model")
@click.option("--since", type=click.DateTime(), help="Predictions from this moment on (UTC).")
@click.option("--until", type=click.DateTime(), help="Predictions before this moment (UTC).")
@click.option("--log", type=click.Path(path_type=Path), help="Folder of the prediction log.")
@click.option("--local", is_flag=True, help="Without what is in an archive only.")
@shared
def coverage(
    setup: Setup, *, model: str, since: datetime | None, until: datetime | None, log: Path | None, local: bool
) -> None:
    """Say how many of MODEL's answers have their truth by now, by version and variant."""
    with use_project(setup.project()):
        root = log or log_folder()
        check_logged(root, model)
        found = label_coverage(root, model, since=_utc(since), until=_utc(until), local=local)
    if setup.json:
        for one in found.by:
            emit({"coverage": _told(one)})
        emit({"status": "measured", **_told(found), "told": found.told, "unmatched": found.unmatched})
        return
    headings = ["version", "variant", "answered", "labelled", "share", "median delay", "p90", "p99"]
    click.echo(table(headings, [_line(one) for one in (*found.by, found)], right=headings[2:]))
    click.echo(f"{found.told:,} labels told, {found.unmatched:,} of them belong to no prediction in this log")


@command.command(name="labels", short_help="List every label that was told, corrected ones too.")
@click.argument("model")
@click.option("--request", metavar="ID", help="Of this request only.")
@click.option("--entity", metavar="KEY", help="Of this entity only, as it was sent with the requests or the labels.")
@click.option("--corrected", is_flag=True, help="Only of rows that were told different labels.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="The newest so many.")
@click.option("--log", type=click.Path(path_type=Path), help="Folder of the prediction log.")
@click.option("--local", is_flag=True, help="Without what is in an archive only.")
@shared
def labels_(
    setup: Setup, *, model: str, request: str | None, entity: str | None, corrected: bool, limit: int, log: Path | None,
    local: bool,
) -> None:  # fmt: skip
    """List what was told about answers of MODEL: which truth of when, when it arrived, and which one holds."""
    with use_project(setup.project()):
        root = log or log_folder()
        check_logged(root, model)
        found = label_history(model, root=root, local=local)
        if request is not None:
            found = found.filter(request_id=request)
        if entity is not None:
            found = found.filter(pl.col("entity").is_in([entity, hashed(hash_key(), ENTITY, entity)]))
    if corrected:
        found = found.filter((pl.col("label").n_unique() > 1).over("request_id", "row") & pl.col("holds").is_not_null())
    newest = found.tail(limit)
    if setup.json:
        for row in newest.to_dicts():
            emit({"label": row})
        emit({"status": "listed", "labels": newest.height, "total": found.height})
    elif not found.height:
        click.echo("no labels like that" if request or entity or corrected else "no labels yet")
    else:
        click.echo(table(list(_TOLD), [_told_label(row) for row in newest.to_dicts()]))
        click.echo(f"{newest.height:,} of {found.height:,} labels")


@command.command(short_help="Move sealed files into the archive now.")
@click.option("--log", type=click.Path(path_type=Path), help="Folder of the prediction log.")
@shared
def archive(setup: Setup, log: Path | None) -> None:
    """Seal what no server writes any more, and move it to where [serving] says: archive = "s3://bucket/prefix".

    A running server does so once a minute.
    """
    with use_project(setup.project()) as project:
        options = server_options(project)
        if not options.archive:
            raise UsageError("this project names no archive", hint='Write archive = "s3://…" in [serving].')
        root, there = log or Path(options.log), Archive(options.archive, options.storage_options)
        try:
            seal(root)
        finally:  # a segment that cannot be sealed keeps no other here
            moved = archive_sealed(root, there)
    if setup.json:
        emit({"status": "archived", "archive": there.address, "files": moved})
    else:
        click.echo(f"moved {len(moved):,} files to {there.address}" if moved else "there is nothing to move")


def _filtered(frame: pl.LazyFrame, where: str) -> pl.LazyFrame:
    try:
        found = frame.filter(pl.sql_expr(where))
        found.head(0).collect()
    except pl.exceptions.PolarsError as error:
        names = frame.collect_schema().names()
        columns = ", ".join(name for name in names if not name.startswith("features."))
        said = str(error).partition("\n")[0].partition("; valid columns")[0]
        input_ = next((name for name in names if f'"{name.removeprefix("features.")}"' in said), None)
        hint = f"Write '\"{input_}\"'. " if input_ else ""
        raise UsageError(
            f"--where cannot be read: {said}",
            value=where,
            hint=f"{hint}Columns: {columns}, features.COLUMN (in double quotes).",
        ) from error
    return found


def _show_query(setup: Setup, found: pl.DataFrame) -> None:
    if setup.json:
        for row in found.to_dicts():
            emit({"row": row})
        emit({"status": "queried", "rows": found.height})
        return
    right = [name for name, dtype in found.schema.items() if dtype.is_numeric()]
    click.echo(table(found.columns, [[number(cell) for cell in row] for row in found.rows()], right=right))
    click.echo(f"{found.height:,} rows")


def _told(one: LabelCoverage) -> dict[str, Any]:
    return {
        "version": one.version, "variant": one.variant, "rows": one.rows, "labelled": one.labelled,
        "share": one.share, "delay_s": dict(one.delay_s),
    }  # fmt: skip


def _told_label(row: dict[str, Any]) -> list[object]:
    moments = {name: f"{row[name]:%Y-%m-%d %H:%M:%S}" for name in ("at", "arrived")}
    holds = {True: "yes", False: "no", None: "of no prediction here"}[row["holds"]]
    return [number(cell) for cell in ({**row, **moments, "holds": holds}[name] for name in _TOLD)]


def _line(one: LabelCoverage) -> list[object]:
    name = "all" if one.told or one.by or not one.rows else number(one.version)
    delays = [duration(one.delay_s.get(quantile)) for quantile in ("p50", "p90", "p99")]
    return [name, one.variant, f"{one.rows:,}", f"{one.labelled:,}", f"{one.share:.1%}", *delays]


def _row(row: dict[str, Any], names: tuple[str, ...]) -> list[object]:
    shown = {**row, "ts": f"{row['ts']:%Y-%m-%d %H:%M:%S}"}
    return [number(shown[name]) for name in names]


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
