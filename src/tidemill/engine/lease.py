"""Who owns a run: a lease with a heartbeat, and what becomes of runs whose owner is gone."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tidemill.core.clock import elapsed, lease_now
from tidemill.core.errors import ConflictError, LeaseLostError, StoreError
from tidemill.core.ids import new_id
from tidemill.core.records import Lease
from tidemill.engine.signals import Why
from tidemill.store import Store, audit, leases
from tidemill.store.database import Transaction

#: The action of the audit event that asks a run to stop.
CANCEL = "run.cancel"

_PROCESSES = Path("/proc")  # Linux


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Seconds that a lease holds without a renewal, between renewals, and between looks for a request to cancel."""

    ttl: float = 30.0
    beat: float = 10.0
    look: float = 1.0


def owner_text() -> str:
    """How this process signs a lease: host, process id, start of the process, and a random part."""
    pid = os.getpid()
    return f"{_host()}:{pid}:{process_start(pid)}:{new_id()}"


def owner_state(owner: str) -> Literal["alive", "gone", "unknown"]:
    """Whether the owner of a lease still runs, if it is a process of this host; of others nothing can be known."""
    host, pid, start, _ = (owner.split(":") + [""] * 4)[:4]
    if host != _host() or not pid.isdigit():
        return "unknown"
    return "alive" if process_start(int(pid)) == start else "gone"


def process_start(pid: int) -> str:
    """When a process started, in the system's own words; empty when it does not run."""
    if _PROCESSES.is_dir():
        try:
            text = (_PROCESSES / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        values = text.rpartition(")")[2].split()
        return "" if values[0] in "ZX" else values[19]
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "".join(shown.stdout.split()).replace(":", ".")


@functools.cache
def _host() -> str:
    """The host and, where there is one, its boot: process ids of another boot or container are never compared."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    mark = boot.read_text(encoding="ascii").strip()[:8] if boot.exists() else ""
    try:
        space = Path("/proc/self/ns/pid").readlink().name if mark else ""
    except OSError:
        space = ""
    return "/".join(part for part in (socket.gethostname(), mark, space.strip("pid:[]")) if part)


def resource_of(run_id: str) -> str:
    """The name of a run's lease."""
    return f"run:{run_id}"


class Heartbeat:
    """Keeps the lease of one run, and listens for a request to cancel it.

    Parameters
    ----------
    store, run_id
        The run.
    lease
        As it was acquired.
    settings
        How long and how often.
    wake
        Called once, in the heartbeat's thread, when the run must stop.
    """

    def __init__(
        self, store: Store, run_id: str, lease: Lease, settings: LeaseSettings, wake: Callable[[Why], None]
    ) -> None:
        self._store = store
        self._resource = resource_of(run_id)
        self._lease = lease
        self._settings = settings
        self._wake = wake
        self._stopped = threading.Event()
        self._lost = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._beat, name=f"tidemill-lease-{run_id}", daemon=True)

    def start(self) -> None:
        """Start beating."""
        self._thread.start()

    def guard(self, tx: Transaction) -> None:
        """Make sure, in a transaction, that the run is still ours: what a lost run's owner writes is rolled back.

        Raises
        ------
        LeaseLostError
            Another process owns the run now.
        """
        if self._lost:
            raise self._lost_error()
        if lease_now() >= self._lease.expires_at:  # until then nobody else could have taken it
            with self._lock:
                self._lease = leases.renew(tx, self._lease, self._settings.ttl)

    def stop(self) -> None:
        """End the heartbeat; the lease stays until `release`."""
        self._stopped.set()
        self._thread.join()

    def release(self, tx: Transaction) -> None:
        """Give the lease back, in the transaction that ends the run."""
        if not self._lost:
            leases.release(tx, self._lease)

    def _beat(self) -> None:
        beaten = elapsed()
        told = False
        while not self._stopped.wait(min(self._settings.look, self._settings.beat)):
            try:
                if elapsed() - beaten >= self._settings.beat:
                    self._renew()
                    beaten = elapsed()
                if not told and self._is_cancelled():
                    told = True
                    self._wake("cancel")
            except LeaseLostError:
                self._lost = True
                self._wake("lost")
                return
            except StoreError:  # the store may come back; if it does not, the run's own writes will say so
                continue

    def _renew(self) -> None:
        with self._store.metadata.transaction() as tx, self._lock:
            self._lease = leases.renew(tx, self._lease, self._settings.ttl)

    def _is_cancelled(self) -> bool:
        with self._store.metadata.reading() as tx:
            return any(event.action == CANCEL for event in audit.list_events(tx, subject=self._resource))

    def _lost_error(self) -> LeaseLostError:
        return LeaseLostError(
            "another process took over this run", value=self._resource, hint="Look at the run before starting it again."
        )


def acquire(tx: Transaction, run_id: str, ttl: float) -> Lease:
    """Take the lease of a run.

    Raises
    ------
    ConflictError
        A living process has it.
    """
    try:
        return leases.acquire(tx, resource_of(run_id), owner_text(), ttl)
    except ConflictError as error:
        raise ConflictError(
            f"run {run_id} is being executed by another process",
            value=error.value,
            hint="Wait for it, or stop it with: tidemill cancel " + run_id,
        ) from error
