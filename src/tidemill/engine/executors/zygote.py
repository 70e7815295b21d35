"""The process that workers are forked from: it has only imported, and never runs a step, a query or a thread.

Forking a process that has started a thread hangs sooner or later: the child has the locks of threads that it does not
have. So the zygote counts its threads after every import, tells its parent which module started one, and forks no
more; the parent starts another that leaves that module to the workers.
"""

from __future__ import annotations

import fcntl
import gc
import os
import selectors
import signal
import socket
import sys
import threading
import time
import warnings
from pathlib import Path

from tidemill.core import clock
from tidemill.engine.executors import child, wire
from tidemill.engine.references import load_module, loaded_sources

#: Native threads that libraries start when imported and that are known to survive a fork: jemalloc's purger (which
#: reinitialises itself in the child) and the cleaner of Polars's spill files (which sleeps).
HARMLESS = frozenset({"jemalloc_bg_thd", "polars-ooc-clea"})
#: Modules that start one nameless native thread each when imported, and work in a forked child.
NAMELESS = ("onnxruntime.capi.onnxruntime_pybind11_state",)


def main(control_descriptor: int) -> None:
    """Serve a parent over a socket until it hangs up, then end every worker and exit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
    control = socket.socket(fileno=control_descriptor)
    zygote = _Zygote(control)
    try:
        zygote.serve()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent is gone: end like at a hang-up
    finally:
        zygote.end_children()
        os._exit(0)


class _Zygote:
    """Imports, forks and reaps, one message at a time."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: set[int] = set()
        self._is_safe = True
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.settimeout(0)
        self._wake_out.settimeout(0)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._wake_in, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._wake_in in ready:
                    self._wake_in.recv(4096)
                    self._reap()
                if self._control in ready:
                    message = wire.receive(self._control, 2)
                    if message is None:
                        return
                    self._answer(*message)

    def end_children(self) -> None:
        for pid in self._children:
            _kill_group(pid)
        for pid in self._children:
            os.waitpid(pid, 0)

    def _answer(self, data: bytes, descriptors: list[int]) -> None:
        kind, *details = wire.decode(data)
        if kind == "import":
            self._import(*details)
        elif kind == "fork":
            self._fork(details[0], descriptors)

    def _tell(self, *message: object) -> None:
        wire.send(self._control, wire.encode(message))

    def _import(self, name: str, path: str | None, search: list[str], arguments: list[str]) -> None:
        sys.path[:], sys.argv[:] = search, arguments
        try:
            load_module(name, path)
        except BaseException:
            # The worker that needs it will fail in the same way and say so to whoever waits for its step.
            return
        strange = strange_threads()
        self._is_safe = self._is_safe and not strange
        gc.collect()
        gc.freeze()  # keeps the collector from touching, and so copying, the pages shared with the workers
        self._tell("unsafe" if strange else "imported", name, loaded_sources())

    def _fork(self, number: int, descriptors: list[int]) -> None:
        if not self._is_safe:
            self._tell("refused", number)
            for descriptor in descriptors:
                os.close(descriptor)
            return
        me = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_worker(descriptors, me)
        for descriptor in descriptors:
            os.close(descriptor)
        self._children.add(pid)
        self._tell("forked", number, pid)

    def _become_worker(self, descriptors: list[int], parent: int) -> None:
        """Drop what belongs to the zygote and run tasks; does not return."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for sock in (self._control, self._wake_in, self._wake_out):
                sock.close()
            for descriptor in descriptors:
                fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
            child.serve(socket.socket(fileno=descriptors[0]), descriptors[1], parent)
        finally:
            os._exit(1)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            self._children.discard(pid)
            self._tell("exited", pid, status)


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def strange_threads() -> list[str]:
    """The threads of this process, besides the main one, that would make a fork unsafe: their names."""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if names or sys.platform != "linux":
        return names
    allowed = sum(name in sys.modules for name in NAMELESS)
    found = _native_threads()
    if len(found) > allowed:
        _probe()  # libraries that handle forks themselves (OpenBLAS) stop their threads before one
        found = _native_threads()
    return found if len(found) > allowed else []


def _native_threads() -> list[str]:
    me = str(os.getpid())
    names = []
    for task in Path("/proc/self/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
        except OSError:
            continue  # it has just ended
        if task.name != me and name not in HARMLESS:
            names.append(name)
    return names


def _probe(patience: float = 2.0) -> None:
    """Fork a child that ends at once; one that hangs is killed."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    deadline = clock.elapsed() + patience
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if clock.elapsed() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.001)
