"""`tidemill predictions`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
import polars as pl

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit
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
    if where:
        frame = frame.filter(pl.sql_expr(where))
    total = frame.select(pl.len()).collect().item()
    newest = frame.sort("ts").tail(limit).collect()
    if setup.json:
        for row in newest.to_dicts():
            emit({"prediction": row})
        emit({"status": "listed", "rows": newest.height, "total": total})
        return
    with pl.Config(tbl_rows=limit, tbl_cols=len(_SHOWN), tbl_hide_dataframe_shape=True, fmt_str_lengths=30):
        click.echo(str(newest.select(_SHOWN)) if total else "no predictions yet")
    click.echo(f"{newest.height:,} of {total:,} rows")


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
