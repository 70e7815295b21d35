"""`tidemill serve NAME[@ALIAS] …`."""

from __future__ import annotations

from pathlib import Path

import click

from tidemill.cli.options import Setup, allowing, shared
from tidemill.cli.output import emit
from tidemill.core.errors import UsageError
from tidemill.project import find_modules, use_project
from tidemill.serving import serve


@click.command(name="serve")
@click.argument("references", nargs=-1, metavar="NAME[@ALIAS]...")
@click.option("--folder", "folders", multiple=True, type=click.Path(path_type=Path), help="Serve a package folder.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--log", type=click.Path(path_type=Path), help="Folder of the prediction log.")
@click.option("--durable", is_flag=True, help="Answer when the log record is on the disk (fsync by group commit).")
@allowing
@shared
def command(
    setup: Setup,
    references: tuple[str, ...],
    folders: tuple[Path, ...],
    host: str,
    port: int,
    log: Path | None,
    allow: tuple[str, ...],
    *,
    durable: bool,
) -> None:
    """Serve models over HTTP until SIGTERM or Ctrl-C; every answer is in the prediction log before it leaves."""
    project = setup.project()

    def announce(line: str) -> None:
        if setup.json:
            emit({"event": "ready", "message": line, "url": line.rpartition(" on ")[2]})
        else:
            click.echo(line)

    with use_project(project):
        if not references and not folders:
            raise UsageError("say what to serve", hint="For example: tidemill serve NAME. See: tidemill models list")
        store = setup.store() if references else None
        if allow:
            find_modules(project)
        serve(
            references, folders=folders, store=store, host=host, port=port, log=log, durable=durable, allow=allow,
            announce=announce,
        )  # fmt: skip
    if setup.json:
        emit({"status": "stopped"})
