"""What a forked worker does: take a task, run it, send the result, until the parent hangs up."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidemill.core.digests import digest_value
from tidemill.core.errors import TidemillError
from tidemill.engine.executors import wire
from tidemill.engine.executors.resources import peak, reset_peak
from tidemill.engine.executors.surroundings import Surroundings, settle, within
from tidemill.engine.logs import StepLog, flush_descriptors, redirect_descriptors
from tidemill.engine.references import Sources, loaded_sources
from tidemill.engine.tasks import StepFailure, StepResult, StepTask, execute, trimmed_traceback
from tidemill.store.artifacts import ArtifactStore, open_artifacts

_PR_SET_PDEATHSIG = 1


def serve(task_socket: socket.socket, output: int, parent: int) -> None:
    """Run tasks from a socket until it ends. Never returns to the caller's code: the process exits.

    Parameters
    ----------
    task_socket
        Where tasks come from and results go to.
    output
        The descriptor that takes everything printed.
    parent
        The process that forked this one; when it is gone, so is this.
    """
    code = 1
    try:
        os.setsid()
        _die_with(parent)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        redirect_descriptors(output)
        os.close(output)
        faulthandler.enable(file=sys.stderr, all_threads=False)
        while (message := wire.receive(task_socket)) is not None:
            _take(task_socket, message[0])
        code = 0
    except (BrokenPipeError, ConnectionResetError):
        code = 0  # the parent is gone, and nobody wants the result
    finally:
        os._exit(code)


def _die_with(parent: int) -> None:
    """Have the system end this process when its parent ends, however busy it is (Linux; elsewhere the socket ends)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _take(task_socket: socket.socket, data: bytes) -> None:
    global _surroundings
    changed, encoded = wire.decode(data)
    if changed is not None:
        _surroundings = changed
        settle(changed)
    with within(_surroundings):
        result = _attempt(encoded)
    flush_descriptors()
    try:
        wire.send(task_socket, wire.encode((result, _new_sources())))
    except TidemillError as error:
        message = f"what the step recorded cannot be sent: {error}"
        failure = StepFailure(type(error).__qualname__, message, kind="tidemill")
        failed = replace(result, status="failed", outputs=(), logged=(), error=failure)
        wire.send(task_socket, wire.encode((failed, {})))


_surroundings: Surroundings | None = None
_modules_seen = 0


def _new_sources() -> Sources:
    """The project's files that this worker has loaded, if it has loaded anything since it was last asked."""
    global _modules_seen
    if len(sys.modules) == _modules_seen:
        return {}
    _modules_seen = len(sys.modules)
    return loaded_sources()


def _attempt(encoded: bytes) -> StepResult:
    try:
        task: StepTask = wire.decode(encoded)
        artifacts = _artifacts(task.artifacts_url, task.artifacts_options)
    except BaseException as error:
        kind = "tidemill" if isinstance(error, TidemillError) else "user"
        failure = StepFailure(
            type(error).__qualname__,
            f"the step could not be loaded in a worker process: {error}",
            trimmed_traceback(error),
            kind=kind,  # type: ignore[arg-type]
        )
        return StepResult("failed", error=failure)
    was_reset = reset_peak()
    elsewhere = StepLog()
    elsewhere.close()  # the parent reads the descriptors
    result = execute(task, artifacts, elsewhere)
    return replace(
        result, error=_portable(result.error), max_rss=peak() if was_reset else result.max_rss
    )  # fmt: skip


def _portable(failure: StepFailure | None) -> StepFailure | None:
    """The failure with its exception only if that is Tidemill's own and made of plain values."""
    if failure is None or not isinstance(failure.exception, TidemillError):
        return failure and replace(failure, exception=None)
    try:
        wire.encode(failure.exception)
    except TidemillError:
        return replace(failure, exception=None)
    return failure


def _artifacts(url: str, options: Mapping[str, Any]) -> ArtifactStore:
    """The artifact store, opened once per place. It must be there: one made anew would hide that it is gone."""
    key = (url, digest_value(dict(options)))
    if key not in _opened:
        _opened[key] = open_artifacts(url, create=False, **options)
    return _opened[key]


_opened: dict[tuple[str, str], ArtifactStore] = {}
