"""``python -m tidemill.serving NAME[@ALIAS] …``: the server as a process of its own; see ``--help``."""

from __future__ import annotations

import argparse
import sys

from tidemill.core.errors import TidemillError
from tidemill.project import load_project, use_project
from tidemill.serving.running import serve
from tidemill.store import open_store


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tidemill.serving", description="Serve models over HTTP.")
    parser.add_argument("references", nargs="*", metavar="NAME[@ALIAS]")
    parser.add_argument("--folder", action="append", default=[], help="a package folder; may be given more than once")
    parser.add_argument("--project", help="the project's folder, if it is not this one or above")
    parser.add_argument("--store", help="URL of the metadata store, instead of a project's")
    parser.add_argument("--artifacts", help="URL of the artifact store, with --store")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--log", help="the prediction log's folder")
    parser.add_argument("--durable", action="store_true", help="answer when the log record is on the disk")
    given = parser.parse_args(arguments)
    options = {
        "folders": given.folder,
        "host": given.host,
        "port": given.port,
        "log": given.log,
        "durable": given.durable,
    }
    try:
        if given.store:
            with open_store(given.store, artifacts=given.artifacts) as store:
                serve(given.references, store=store, **options)
        else:
            with use_project(load_project(given.project)):
                serve(given.references, **options)
    except TidemillError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
