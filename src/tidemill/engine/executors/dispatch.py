"""Jobs over workers, in one thread: who runs what, what they say, how they end. It never blocks on a worker."""

from __future__ import annotations

import os
import selectors
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from tidemill.core import clock
from tidemill.engine.executors import wire
from tidemill.engine.executors.base import cancelled
from tidemill.engine.executors.jobs import Job
from tidemill.engine.executors.outcomes import died, not_started, out_of_memory, timed_out
from tidemill.engine.executors.processes import Worker, Zygote, start_zygote
from tidemill.engine.executors.resources import devices, resident
from tidemill.engine.references import Sources, are_current
from tidemill.engine.tasks import StepResult

#: Seconds between two looks at the memory of a worker whose step declares a limit.
MEMORY_WATCH = 0.02
#: Seconds that a zygote may take to import what a step needs and to fork.
START_PATIENCE = 120.0
#: Loaded in the zygote if they are loaded here: slow to import and safe to fork.
_USUAL = ("numpy", "polars", "pyarrow", "pandas")


class Dispatcher:
    """Gives jobs to workers; all of it is called from one thread.

    Parameters
    ----------
    limit
        How many jobs run at the same time.
    preload
        Modules to import in zygotes, besides those that the steps are in.
    """

    def __init__(self, limit: int, preload: Sequence[str]) -> None:
        self._limit = limit
        self._preload: dict[str, str | None] = {name: None for name in _USUAL if name in sys.modules}
        self._preload.update(dict.fromkeys(preload))
        self._never: set[str] = set()
        self._queue: deque[Job] = deque()
        self._zygotes: list[Zygote] = []
        self._workers: dict[int, Worker] = {}
        self._made = 0
        self._selector = selectors.DefaultSelector()

    def listen(self, source: Any, action: Callable[[int], None]) -> None:
        """Call an action when a socket or pipe has something to read."""
        self._selector.register(source, selectors.EVENT_READ, action)

    def enqueue(self, job: Job) -> None:
        """Run a job when it is its turn."""
        self._queue.append(job)

    def cancel(self, execution_id: str) -> None:
        """Take a job out of the queue, or kill the worker that runs it."""
        for job in self._queue:
            if job.task.execution_id == execution_id:
                self._queue.remove(job)
                if job.claim():
                    job.resolve(cancelled())
                return
        for worker in self._workers.values():
            if worker.job is not None and worker.job.task.execution_id == execution_id:
                worker.kill("cancelled")

    def turn(self) -> None:
        """Start what can start, wait until something happens, and act on it."""
        self._assign()
        for key, events in self._selector.select(self._pause()):
            if key.fd in self._selector.get_map():  # nothing earlier in this batch has closed it
                key.data(events)
        self._watch()

    def close(self) -> list[Job]:
        """End every process and close every descriptor; the jobs that were not finished."""
        jobs = [*self._queue, *(worker.job for worker in self._workers.values() if worker.job is not None)]
        self._queue.clear()
        for zygote in self._zygotes:
            zygote.close()
        for worker in self._workers.values():
            if worker.job is not None:
                worker.drain(worker.job.log)
            worker.close()
        self._workers.clear()
        self._zygotes.clear()
        self._selector.close()
        return jobs

    def abandon(self) -> None:
        """In a forked child: close what belongs to the parent, so that its processes notice when the parent ends."""
        for zygote in self._zygotes:
            zygote.control.close()
        for worker in self._workers.values():
            worker.close()

    # Limits

    def _pause(self) -> float | None:
        """Seconds until somebody's limit has to be looked at; None for as long as it takes."""
        jobs = [worker.job for worker in self._workers.values() if worker.job is not None]
        if any(job.task.memory for job in jobs):
            return MEMORY_WATCH
        deadlines = [job.deadline for job in jobs if job.deadline is not None]
        return max(0.0, min(deadlines) - clock.elapsed()) if deadlines else None

    def _watch(self) -> None:
        """Kill what has used more time or memory than it declared."""
        for worker in list(self._workers.values()):
            job = worker.job
            if job is None:
                continue
            if job.deadline is not None and clock.elapsed() >= job.deadline:
                job.deadline = None
                if worker.pid is None:
                    self._give_up(worker.zygote)
                    continue
                worker.kill("timeout")
            if job.task.memory is not None and worker.pid is not None:
                job.peak = max(job.peak, resident(worker.pid))
                if job.peak > job.task.memory:
                    worker.kill("memory")

    # Starting

    def _assign(self) -> None:
        """Begin jobs in order, until one has to wait."""
        while self._queue:
            job = self._queue[0]
            if not job.claim():
                self._queue.popleft()
                continue
            worker = self._free_worker(job)
            if worker is None or not self._take_devices(job):
                return
            self._queue.popleft()
            if worker.pid is None:
                job.deadline = clock.elapsed() + START_PATIENCE
            else:
                job.start_clock()
            worker.give(job)
            self._attend(worker)

    def _free_worker(self, job: Job) -> Worker | None:
        self._retire_stale()
        staying = [worker for worker in self._workers.values() if not worker.is_leaving]
        idle = [worker for worker in staying if worker.job is None]
        for worker in idle:
            if worker.zygote.cpu == job.task.cpu and not (job.is_fresh and worker.is_used):
                return worker
        if len(staying) >= self._limit:
            if not idle:
                return None
            idle[0].kill("makes room for one with other limits")
        return self._fork(job)

    def _retire_stale(self) -> None:
        """Let go of processes that have loaded files which were edited since: they would run yesterday's code."""
        for zygote in self._zygotes:
            if zygote.is_usable and not are_current(zygote.sources):
                zygote.is_usable = False
        for worker in list(self._workers.values()):
            if not worker.is_leaving and not (worker.zygote.is_usable and worker.is_current):
                worker.retire()
        for zygote in [zygote for zygote in self._zygotes if not zygote.is_usable and not zygote.workers]:
            self._give_up(zygote)

    def _fork(self, job: Job) -> Worker:
        zygote = next((zygote for zygote in self._zygotes if zygote.is_usable and zygote.cpu == job.task.cpu), None)
        if zygote is None:
            zygote = self._start_zygote(job.task.cpu)
        zygote.preload({**self._preload, job.function.module: job.function.path}, self._never)
        self._made += 1
        worker = self._workers[self._made] = zygote.fork(self._made)
        self.listen(worker.output, lambda _: self._read_output(worker))
        self._attend(worker)
        return worker

    def _start_zygote(self, cpu: float | None) -> Zygote:
        zygote = start_zygote(cpu)
        self._zygotes.append(zygote)
        self.listen(zygote.control, lambda _: self._hear(zygote))
        self.listen(zygote.stderr, lambda _: self._read_errors(zygote))
        return zygote

    def _take_devices(self, job: Job) -> bool:
        """Reserve the devices that a job declares; False if others have them."""
        if not job.task.gpu:
            return True
        taken = {name for worker in self._workers.values() if worker.job is not None for name in worker.job.devices}
        free = [name for name in devices() if name not in taken]
        if len(free) < job.task.gpu:
            return False
        job.devices = tuple(free[: job.task.gpu])
        job.surroundings = job.surroundings.with_devices(job.devices)
        return True

    # Workers

    def _attend(self, worker: Worker) -> None:
        """Wait for what a worker says, and, while something waits to be sent, until it can take more."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.frames.is_sending else 0)
        known = self._selector.get_map().get(worker.frames.sock)
        if known is None:
            self._selector.register(worker.frames.sock, events, lambda ready: self._talk(worker, ready))
        elif known.events != events:
            self._selector.modify(worker.frames.sock, events, known.data)

    def _talk(self, worker: Worker, ready: int) -> None:
        if ready & selectors.EVENT_WRITE:
            worker.frames.flush()
            self._attend(worker)
        if not ready & selectors.EVENT_READ:
            return
        frames, is_open = worker.frames.read()
        for frame in frames:
            self._finish(worker, *wire.decode(frame))
        if not is_open:
            self._selector.unregister(worker.frames.sock)
            worker.kill("hung up")  # it is dying, or has closed what it talks through

    def _read_output(self, worker: Worker) -> None:
        if not worker.drain(worker.job.log if worker.job is not None else None):
            self._selector.unregister(worker.output)

    def _finish(self, worker: Worker, result: StepResult, sources: Sources) -> None:
        worker.sources.update(sources)
        job, worker.job = worker.job, None
        if job is None:
            return
        worker.drain(job.log)
        if job.task.memory is not None and result.max_rss > job.task.memory:
            job.peak = result.max_rss  # between two looks
            result = out_of_memory(job)
        if job.is_fresh or worker.is_leaving:
            worker.kill("has run its one step")  # and with it whatever the step has left running
        job.resolve(result)

    def _buried(self, worker: Worker, status: int) -> None:
        """A worker has ended: with its job, if it had one."""
        worker.pid = None
        if worker.job is not None and worker.frames.sock in self._selector.get_map():
            for frame in worker.frames.read()[0]:  # it had sent its result before
                self._finish(worker, *wire.decode(frame))
        job = worker.job
        if job is not None:
            worker.drain(job.log)
            outcome = _OUTCOMES.get(worker.reason)
            job.resolve(outcome(job) if outcome else died(job, status))
        self._forget(worker)

    def _forget(self, worker: Worker) -> None:
        for channel in (worker.frames.sock, worker.output):
            self._ignore(channel)
        worker.close()
        self._workers.pop(worker.number, None)
        worker.zygote.workers.pop(worker.number, None)

    def _ignore(self, channel: Any) -> None:
        if channel in self._selector.get_map():
            self._selector.unregister(channel)

    # Zygotes

    def _hear(self, zygote: Zygote) -> None:
        frames, is_open = zygote.frames.read()
        for frame in frames:
            kind, subject, *details = wire.decode(frame)
            if kind == "forked":
                self._forked(zygote.workers[subject], details[0])
            elif kind == "refused":
                self._try_again(zygote.workers[subject])
            elif kind == "exited":
                worker = next((worker for worker in zygote.workers.values() if worker.pid == subject), None)
                if worker is not None:
                    self._buried(worker, details[0])
            elif kind == "unsafe":
                self._never.add(subject)
                zygote.is_usable = False
            elif kind == "imported":
                zygote.sources.update(details[0])
        if not is_open or (not zygote.is_usable and not zygote.workers):
            self._give_up(zygote)

    def _forked(self, worker: Worker, pid: int) -> None:
        worker.pid = pid
        if worker.job is not None:
            worker.job.start_clock()
        if worker.reason:
            worker.kill(worker.reason)

    def _try_again(self, worker: Worker) -> None:
        """The zygote must not fork any more: another one shall, without the module that started a thread."""
        job = worker.job
        self._forget(worker)
        if job is not None and worker.reason:
            job.resolve(cancelled())
        elif job is not None:
            self._queue.appendleft(job)

    def _read_errors(self, zygote: Zygote) -> None:
        try:
            data = os.read(zygote.stderr, 1 << 16)
        except BlockingIOError:
            return
        zygote.errors.write(data.decode("utf-8", "replace"))
        if not data:
            self._ignore(zygote.stderr)

    def _give_up(self, zygote: Zygote) -> None:
        """A zygote has ended, does not answer, or must not be used any more: end it, and what it has forked."""
        self._zygotes.remove(zygote)
        self._ignore(zygote.control)
        self._read_errors(zygote)
        self._ignore(zygote.stderr)
        zygote.close(patience=1.0)
        for worker in list(zygote.workers.values()):
            if worker.pid is None and worker.job is not None and not worker.reason:
                worker.job.resolve(not_started(worker.job, zygote.errors.text()))
                worker.job = None
            self._buried(worker, signal.SIGKILL)


def _cancelled(job: Job) -> StepResult:
    return cancelled(seconds=clock.elapsed() - job.started)


_OUTCOMES: dict[str, Callable[[Job], StepResult]] = {
    "timeout": timed_out,
    "memory": out_of_memory,
    "cancelled": _cancelled,
}
