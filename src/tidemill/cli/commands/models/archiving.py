"""`tidemill models archive|restore`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.cli.commands.models.group import command, rules, said, tell
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import relative, size
from tidemill.core.errors import UsageError
from tidemill.project import open_project_store
from tidemill.registry.archiving import archive_version
from tidemill.registry.names import parse_reference
from tidemill.registry.restoring import restore_version


@command.command(name="archive", short_help="Write a version with its whole lineage into one file.")
@click.argument("reference")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The new file.")
@click.option("--without-data", is_flag=True, help="Leave tables and other large artifacts out.")
@shared
def archive(setup: Setup, reference: str, output: Path, *, without_data: bool) -> None:
    """Write REFERENCE (NAME@NUMBER, NAME@ALIAS) with its package, runs, parameters, metrics and artifacts."""
    if "@" not in reference:
        raise UsageError("this names no version", value=reference, hint="Write NAME@NUMBER or NAME@ALIAS.")
    with setup.store() as store:
        made = archive_version(store, parse_reference(reference), output, data=not without_data)
    left = f", {made.left_out} left out" if made.left_out else ""
    text = f"wrote {relative(made.path)} ({size(made.bytes)}): {made.model}@{made.version}, {made.blobs} blobs{left}"
    said(setup, {"archive": made}, f"{text}\ndigest {made.digest}")


@command.command(name="restore", short_help="Read an archived version into this project's store.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--as", "name", metavar="NAME", help="What to call the model here.")
@click.option("--next", "next_number", is_flag=True, help="Take the next number where the version's own is taken.")
@click.option("--digest", help="What the archive's digest must be.")
@click.option("--trust", multiple=True, metavar="MODULE", help="A module whose classes recorded values may be made of.")
@shared
def restore(
    setup: Setup, file: Path, *, name: str | None, next_number: bool, digest: str | None, trust: tuple[str, ...]
) -> None:
    """Read FILE, which `tidemill models archive` wrote; every byte is verified before anything is changed."""
    asked = rules(setup)
    store = open_project_store(setup.project())
    found = restore_version(
        store, file, name=name, next_number=next_number, digest=digest, trust=trust, subscribers=asked.webhooks
    )
    tell(setup, store, asked)
    version = found.version
    place = f"{version.model}@{version.version}"
    news = f"{found.rows} rows, {found.blobs} blobs" if found.rows else "it was here already"
    was = f"; it was {', '.join(found.aliases)} there" if found.aliases else ""
    said(setup, {"restored": found}, f"restored {place}: {news}{was}")
