"""Run a server in this process until it is told to stop, or as many processes as were asked for."""

from __future__ import annotations

import errno
import gc
import logging
import os
import resource
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tidemill.core.errors import ConfigError
from tidemill.project import current_project, open_project_store
from tidemill.serving.faces import Server
from tidemill.serving.journal import Journal
from tidemill.serving.log.sealer import Sealer
from tidemill.serving.options import ServerOptions, server_options
from tidemill.serving.plans import plan_endpoints, plan_privacy
from tidemill.serving.repository import Follower, Repository
from tidemill.serving.rest.app import App
from tidemill.serving.sockets import listen, reserve, shown_host
from tidemill.serving.tracing import open_tracer
from tidemill.serving.workers import Work, supervise
from tidemill.store import Store

Announce = Callable[[str], object]
#: Objects that may be made, and not be gone, until the youngest are searched for cycles; Python's own number is 700.
_YOUNG_OBJECTS = 20_000


def serve(
    references: Sequence[str] = (),
    *,
    folders: Iterable[str | Path] = (),
    store: Store | None = None,
    options: ServerOptions | None = None,
    announce: Announce | None = None,
) -> None:
    """Serve models; returns after SIGTERM or SIGINT, when the requests under way are answered.

    Parameters
    ----------
    references
        Registered models: ``flight-delay@champion``, or ``flight-delay`` for what ``[endpoints.flight-delay]`` says;
        none for all of ``[endpoints]``.
    folders
        Package folders, served under their own names without a registry.
    store
        Where the models are registered; the current project's store by default.
    options
        How it runs; by default what ``[serving]`` of the project says.
    announce
        Called with one line when the server is ready; written to standard output by default.

    Raises
    ------
    UsageError
        When nothing is named, a name is given twice, the port is taken, or the log has no place.
    RunError
        When a worker process cannot start.
    """
    given = [Path(folder).resolve() for folder in folders]
    chosen = options or server_options(current_project())
    if chosen.workers == 1:
        run_worker(references, given, store, chosen, announce or say)
        return
    project = current_project()
    place = None if store is None or store.url == project.store else (store.url, store.artifacts.url)
    work = Work(tuple(references), tuple(map(str, given)), str(project.root), project.profile, place)
    reserved = [reserve(chosen.host, port) for port in (chosen.port, chosen.grpc_port) if port is not None]
    try:
        supervise(work, chosen, [one.getsockname()[1] for one in reserved], announce or say)
    finally:
        for one in reserved:
            one.close()


def run_worker(
    references: Sequence[str],
    folders: Sequence[Path],
    store: Store | None,
    options: ServerOptions,
    announce: Announce,
    *,
    shared: bool = False,
    journal: Path | None = None,
) -> None:
    """Serve in this process.

    Parameters
    ----------
    references, folders, store, options, announce
        As for `serve`.
    shared
        Whether other processes listen at the same port.
    journal
        Where the workers of one server tell each other what to load.
    """
    _check_log(Path(options.log))
    plans = plan_endpoints(references, folders, current_project())
    if store is None and any(plan.folder is None for plan in plans):
        store = open_project_store(current_project())
    privacy = plan_privacy(current_project(), options.hash_key)
    told = None if journal is None else Journal(journal)
    repository = Repository(plans, options, store, told, privacy, current_project())
    listening = listen(options.host, options.port, shared=shared)
    try:
        repository.open()
        app = App(repository, options, shared=shared)
        app.site.tracer = open_tracer(options.traces)
        titles = ", ".join(endpoint.title for endpoint in repository.endpoints.values())
        scheme = "https" if options.certificate else "http"
        url = f"{scheme}://{shown_host(options.host)}:{listening.getsockname()[1]}"
        _allow_many_connections()
        root = Path(options.log)
        retention = {name: one.retention for name, one in privacy.items()}
        archive = (options.archive, options.storage_options) if options.archive else None
        sealer = Sealer(root, retention=retention, finish=app.site.finish_segments, archive=archive)
        with sealer, Follower(repository, options.follow, app.count), _rare_collections():
            Server(app, options, lambda grpc: announce(f"serving {titles} on {url}{grpc}")).run(sockets=[listening])
    finally:
        listening.close()


def tell_on_stderr() -> None:
    """Write what happens to a server (versions that take over, workers that are replaced) to standard error."""
    logger = logging.getLogger("tidemill.serving")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def say(line: str) -> None:
    """Write a line to standard output at once."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever started the server no longer listens; that is no reason to stop serving
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for reference cycles seldom: the rows of a large request are gone by themselves before it is worth it."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what was loaded stays
    gc.set_threshold(_YOUNG_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _check_log(folder: Path) -> None:
    """Refuse a folder that no answer could be written to; a full disk may have space again."""
    hint = "Name a folder that this user may write to: --log, or log in [serving]."
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            problem = f"the prediction log cannot be there: {error.strerror}"
            raise ConfigError(problem, value=str(folder), hint=hint) from error
    else:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError("the prediction log cannot be written", value=str(folder), hint=hint)


def _allow_many_connections() -> None:
    """Take as many open files as the system lets this user have: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems say unlimited and mean less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
