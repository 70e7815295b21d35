"""`tidemill models card`."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from tidemill.cli.commands.models.group import command
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, relative, size
from tidemill.registry.cards import model_card
from tidemill.registry.names import parse_reference


@command.command(name="card", short_help="Write the model card of a version.")
@click.argument("reference")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write it as one HTML file, with charts.")
@click.option("--md", type=click.Path(path_type=Path, dir_okay=False), help="Write it as Markdown.")
@shared
def card(setup: Setup, reference: str, html: Path | None, md: Path | None) -> None:
    """Write the model card of REFERENCE (NAME@NUMBER, NAME@ALIAS, or NAME); on the screen by default."""
    with setup.store() as store:
        found = model_card(parse_reference(reference), store=store, canvas=setup.project().canvas)
    written: list[Path] = []
    if html is not None:
        written.append(importlib.import_module("tidemill.server.report.card").write_card(found, html))
    if md is not None:
        md.parent.mkdir(parents=True, exist_ok=True)
        md.write_text(found.markdown, encoding="utf-8")
        written.append(md)
    if setup.json:
        emit({"status": "succeeded", "title": found.title, "sections": found.sections, "html": html, "md": md})
        return
    for path in written:
        click.echo(f"wrote {relative(path)} ({size(path.stat().st_size)})")
    if not written:
        click.echo(found.markdown, nl=False)
