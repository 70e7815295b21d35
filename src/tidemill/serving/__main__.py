"""``python -m tidemill.serving NAME[@ALIAS] …``: the server as a process of its own; see ``--help``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tidemill.core.errors import TidemillError
from tidemill.project import current_project, load_project, use_project
from tidemill.serving.options import ServerOptions, server_options
from tidemill.serving.running import run_worker, serve, tell_on_stderr
from tidemill.store import open_store


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    given = _parser().parse_args(arguments)
    tell_on_stderr()
    if given.worker:
        return _work(json.loads(sys.stdin.readline()))
    flags = {name: getattr(given, name) for name in ("host", "port", "grpc_port", "workers", "log", "certificate")}
    flags |= {"private_key": given.private_key, "durable": given.durable or None}
    try:
        with ExitStack() as open_things:
            store = None
            if given.store:
                store = open_things.enter_context(open_store(given.store, artifacts=given.artifacts))
            else:
                open_things.enter_context(use_project(load_project(given.project)))
            options = server_options(current_project(), **flags)
            serve(given.references, folders=given.folder, store=store, options=options)
    except TidemillError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tidemill.serving", description="Serve models over HTTP and gRPC.")
    parser.add_argument("references", nargs="*", metavar="NAME[@ALIAS]")
    parser.add_argument("--folder", action="append", default=[], help="a package folder; may be given more than once")
    parser.add_argument("--project", help="the project's folder, if it is not this one or above")
    parser.add_argument("--store", help="URL of the metadata store, instead of a project's")
    parser.add_argument("--artifacts", help="URL of the artifact store, with --store")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, help="0 takes a free one")
    parser.add_argument("--grpc-port", type=int, help="0 takes a free one")
    parser.add_argument("--workers", type=int, help="processes that answer")
    parser.add_argument("--log", help="the prediction log's folder")
    parser.add_argument("--durable", action="store_true", help="answer when the log record is on the disk")
    parser.add_argument("--certificate", help="a PEM file, for TLS")
    parser.add_argument("--private-key", help="a PEM file, for TLS")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


def _work(order: dict[str, Any]) -> int:
    """Be one of several workers: say one line when ready, stop when whoever started us is gone."""
    threading.Thread(target=_stop_when_alone, daemon=True).start()
    work: dict[str, Any] = order["work"]
    raw: dict[str, Any] = order["options"]
    raw |= {name: tuple(value) for name, value in raw.items() if isinstance(value, list)}
    options = ServerOptions(**raw)
    try:
        with ExitStack() as open_things:
            open_things.enter_context(use_project(load_project(work["project"], work["profile"])))
            store = None
            if work["place"]:
                url, artifacts = work["place"]
                store = open_things.enter_context(open_store(url, artifacts=artifacts))
            run_worker(
                work["references"], [Path(folder) for folder in work["folders"]], store, options,
                lambda line: _tell({"line": line}), shared=True, journal=Path(order["journal"]),
            )  # fmt: skip
    except TidemillError as error:
        _tell({"error": str(error)})
        return error.exit_code
    return 0


def _tell(what: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def _stop_when_alone() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
