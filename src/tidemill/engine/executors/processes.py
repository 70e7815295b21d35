"""The parent's side of its processes: a zygote that forks, the workers that it forked, and the jobs that they run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field

from tidemill.engine.executors import wire
from tidemill.engine.executors.jobs import Job
from tidemill.engine.executors.resources import thread_environment
from tidemill.engine.executors.surroundings import Surroundings
from tidemill.engine.logs import StepLog
from tidemill.engine.references import Sources, are_current

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tidemill.engine.executors.zygote import main; main(int(sys.argv[2]))"
)


@dataclass(eq=False)
class Worker:
    """A forked process and the two ways that it talks: a socket for tasks and results, a pipe for what it prints."""

    number: int
    zygote: Zygote
    frames: wire.Frames
    output: int
    job: Job | None = None
    pid: int | None = None
    reason: str = ""  # why it was killed, if it was
    surroundings: Surroundings | None = None
    is_used: bool = False
    is_leaving: bool = False
    sources: Sources = field(default_factory=dict)

    @property
    def is_current(self) -> bool:
        """Whether the files that it has loaded are still the same."""
        return are_current(self.sources)

    def give(self, job: Job) -> None:
        """Send a job; the surroundings only if they have changed."""
        self.job = job
        self.is_used = True
        changed = None if job.surroundings == self.surroundings else job.surroundings
        self.surroundings = job.surroundings
        self.drain(None)
        self.frames.send(wire.encode((changed, job.encoded)))

    def drain(self, log: StepLog | None) -> bool:
        """Read what was printed so far into a log, or away; whether the pipe goes on."""
        while True:
            try:
                piece = os.read(self.output, 1 << 16)
            except BlockingIOError:
                return True
            if not piece:
                return False
            if log is not None:
                log.write(piece.decode("utf-8", "replace"))

    def kill(self, reason: str) -> None:
        """End its process group at once; the zygote will report it."""
        self.reason = self.reason or reason
        self.is_leaving = True
        if self.pid is not None:
            kill_group(self.pid)

    def retire(self) -> None:
        """Let it finish what it runs, and nothing after that."""
        self.is_leaving = True
        if self.job is None:
            self.kill("retired")

    def close(self) -> None:
        """Hang up."""
        self.frames.sock.close()
        os.close(self.output)


def kill_group(pid: int) -> None:
    """End a process, and its children that stayed in its group."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


@dataclass(eq=False)
class Zygote:
    """The process that forks workers whose numeric libraries use `cpu` threads each."""

    cpu: float | None
    process: subprocess.Popen[bytes]
    frames: wire.Frames
    control: socket.socket
    stderr: int
    errors: StepLog = field(default_factory=lambda: StepLog(limit=4096))
    imported: set[str] = field(default_factory=set)
    workers: dict[int, Worker] = field(default_factory=dict)
    sources: Sources = field(default_factory=dict)
    is_usable: bool = True  # it has started no thread, and nothing that it imported has been edited

    def preload(self, modules: dict[str, str | None], never: set[str]) -> None:
        """Have modules imported before the next fork, except those known to start threads."""
        for name, path in modules.items():
            if name not in self.imported and name not in never:
                self.imported.add(name)
                self.send("import", name, path, sys.path, sys.argv)

    def fork(self, number: int) -> Worker:
        """Ask for a worker; it may be given a job at once, which waits in the socket."""
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        os.set_blocking(read, False)
        self.send("fork", number, descriptors=(theirs.fileno(), write))
        theirs.close()
        os.close(write)
        worker = Worker(number, self, wire.Frames(ours), read)
        self.workers[number] = worker
        return worker

    def send(self, *message: object, descriptors: tuple[int, ...] = ()) -> None:
        """Tell the zygote something; one that is gone is noticed by reading."""
        self.control.settimeout(None)
        try:
            wire.send(self.control, wire.encode(message), descriptors)
        except (BrokenPipeError, ConnectionResetError):
            pass  # reading its end of stream is what ends it, in one place
        finally:
            self.control.settimeout(0)

    def close(self, patience: float = 5.0) -> None:
        """Hang up, upon which it ends its workers and itself; wait, and insist if need be."""
        self.control.close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for worker in self.workers.values():
            if worker.pid is not None and self.process.returncode:
                kill_group(worker.pid)
        os.close(self.stderr)


def start_zygote(cpu: float | None) -> Zygote:
    """Start a zygote: a new interpreter, not a fork of this process, which may have threads."""
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    os.set_blocking(read, False)
    flags = [f"-W{option}" for option in sys.warnoptions] + ["-O"] * sys.flags.optimize
    process = subprocess.Popen(
        [sys.executable, *flags, "-P", "-c", _START, json.dumps(sys.path), str(theirs.fileno())],
        pass_fds=(theirs.fileno(),),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=write,
        env={**os.environ, **thread_environment(cpu)},
        start_new_session=True,
    )
    theirs.close()
    os.close(write)
    return Zygote(cpu, process, wire.Frames(ours), ours, read)
