"""A load of one kind of request over kept-alive connections, and the CPU time that it costs the server's processes."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Load:
    """What became of a load: answers by status, seconds of each, CPU seconds of the server."""

    statuses: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    cpu: float = 0.0
    wall: float = 0.0

    @property
    def answered(self) -> int:
        return self.statuses.get(200, 0)

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the server for each request."""
        return self.cpu / max(len(self.seconds), 1) * 1e6

    def milliseconds(self, share: float) -> float:
        return statistics.quantiles(self.seconds, n=1000)[int(share * 1000) - 1] * 1e3


class _Client(asyncio.Protocol):
    """One connection: sends a request, waits for the whole answer, sends the next, until the time is over.

    The next one leaves at once, or with `every` not before so many seconds have passed since the last one was due.
    """

    def __init__(self, request: bytes, load: Load, until: float, every: float, done: asyncio.Future[None]) -> None:
        self._request, self._load, self._until, self._every, self._done = request, load, until, every, done
        self._data = b""
        self._sent = 0.0
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._due = time.perf_counter()
        self._send()

    def _send(self) -> None:
        self._data = b""
        self._sent = time.perf_counter()
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        if at >= 0:
            if len(body) < int(lowered[at + 15 :].split(b"\r\n", 1)[0]):
                return
        elif not body.endswith(b"0\r\n\r\n"):
            return
        now = time.perf_counter()
        status = int(head[9:12])
        self._load.statuses[status] = self._load.statuses.get(status, 0) + 1
        self._load.seconds.append(now - self._sent)
        self._due += self._every
        if max(now, self._due) >= self._until:
            self._transport.close()
        elif self._due <= now:
            self._send()
        else:
            asyncio.get_running_loop().call_later(self._due - now, self._send)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


def post(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """The bytes of a request."""
    head = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def measure(
    port: int, request: bytes, pids: Sequence[int], *, connections: int, seconds: float, rate: float = 0.0
) -> Load:
    """Send the same request on so many connections for so long: over and over, or `rate` times a second in all."""
    load = Load()
    before, started = cpu_seconds(pids), time.perf_counter()
    asyncio.run(_drive(port, request, load, connections, seconds, connections / rate if rate else 0.0))
    load.cpu, load.wall = cpu_seconds(pids) - before, time.perf_counter() - started
    return load


async def _drive(port: int, request: bytes, load: Load, connections: int, seconds: float, every: float) -> None:
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + seconds
    over = [loop.create_future() for _ in range(connections)]
    for number, done in enumerate(over):
        if every:
            await asyncio.sleep(every / connections if number else 0)  # not all at the same moment
        await loop.create_connection(lambda done=done: _Client(request, load, until, every, done), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.wait_for(asyncio.gather(*over), seconds + 60)


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of processes that are alive."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


def memory_mb(pids: Sequence[int]) -> float:
    """Proportional set size: pages that several processes share are counted once."""
    kib = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kib += int(rollup.partition("\nPss:")[2].split()[0])
    return kib / 1024
