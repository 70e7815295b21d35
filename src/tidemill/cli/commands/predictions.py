"""`tidemill predictions`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import polars as pl

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, number, table
from tidemill.core.errors import UsageError
from tidemill.serving import predictions

_SHOWN = ("ts", "request_id", "model", "version", "status", "prediction", "probability", "latency_ms")


@click.command(name="predictions")
@click.argument("model", required=False)
@click.option("--since", type=click.DateTime(), help="From this moment on (UTC).")
@click.option("--until", type=click.DateTime(), help="Before this moment (UTC).")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="The newest so many.")
@click.option("--log", type=click.Path(path_type=Path), help="Folder of the prediction log.")
@click.option("--where", help='A SQL condition on the columns, such as "probability > 0.8".')
@shared
def command(
    setup: Setup,
    model: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    log: Path | None,
    where: str | None,
) -> None:
    """Read the prediction log: everything that was asked and answered, of MODEL only if it is given."""
    root = log or setup.project().hidden / "predictions"
    frame = predictions(root, model, since=_utc(since), until=_utc(until))
    try:
        found = frame.filter(pl.sql_expr(where)) if where else frame
        total = found.select(pl.len()).collect().item()
        newest = found.sort("ts").tail(limit).collect()
    except pl.exceptions.PolarsError as error:
        if not where:
            raise
        columns = ", ".join(name for name in frame.collect_schema() if not name.startswith("features."))
        problem = f"--where cannot be read: {str(error).partition(chr(10))[0]}"
        raise UsageError(
            problem, value=where, hint=f"Columns: {columns}, features.COLUMN (in double quotes)."
        ) from error
    if setup.json:
        for row in newest.to_dicts():
            emit({"prediction": row})
        emit({"status": "listed", "rows": newest.height, "total": total})
    elif not total:
        click.echo("no predictions like that" if model or where or since or until else "no predictions yet")
    else:
        click.echo(table(list(_SHOWN), [_row(row) for row in newest.to_dicts()], right=["probability", "latency_ms"]))
        click.echo(f"{newest.height:,} of {total:,} rows")


def _row(row: dict[str, Any]) -> list[object]:
    shown = {**row, "ts": f"{row['ts']:%Y-%m-%d %H:%M:%S}"}
    return [number(shown[name]) for name in _SHOWN]


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
