"""`tidemill serve NAME[@ALIAS] …`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tidemill.cli.options import Setup, allowing, shared
from tidemill.cli.output import emit
from tidemill.core.errors import UsageError
from tidemill.project import find_modules, use_project
from tidemill.serving import serve
from tidemill.serving.options import server_options
from tidemill.serving.running import tell_on_stderr

_PORT = click.IntRange(0, 65535)


@click.command(name="serve")
@click.argument("references", nargs=-1, metavar="[NAME[@ALIAS]]...")
@click.option("--folder", "folders", multiple=True, type=click.Path(path_type=Path), help="Serve a package folder.")
@click.option("--host", help="Where to listen; 127.0.0.1 by default.")
@click.option("--port", type=_PORT, help="8080 by default; 0 takes a free one.")
@click.option("--grpc-port", type=_PORT, help="Answer gRPC too, at this port; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that answer; 1 by default.")
@click.option("--log", type=click.Path(), help="Folder of the prediction log.")
@click.option("--durable", is_flag=True, default=None, help="Answer when the log record is on the disk (group commit).")
@click.option("--certificate", type=click.Path(), help="TLS: the certificate, a PEM file.")
@click.option("--private-key", type=click.Path(), help="TLS: its key, a PEM file.")
@allowing
@shared
def command(
    setup: Setup, references: tuple[str, ...], folders: tuple[Path, ...], allow: tuple[str, ...], **flags: Any
) -> None:
    """Serve models over HTTP and gRPC until SIGTERM or Ctrl-C; every answer is in the prediction log before it leaves.

    Without a name, everything that [endpoints] in tidemill.toml declares. More settings stand under [serving].
    """
    project = setup.project()

    def announce(line: str) -> None:
        if setup.json:
            emit({"event": "ready", "message": line, "url": line.rpartition(" on ")[2].split()[0]})
        else:
            click.echo(line)

    with use_project(project):
        if not references and not folders and not project.endpoints:
            raise UsageError("say what to serve", hint="For example: tidemill serve NAME. See: tidemill models list")
        options = server_options(project, allow=allow or None, **flags)
        if options.allow:
            find_modules(project)
        store = setup.store() if references or not folders else None
        tell_on_stderr()
        serve(references, folders=folders, store=store, options=options, announce=announce)
    if setup.json:
        emit({"status": "stopped"})
