"""A fixture: a real NameNode and DataNode, Hadoop 2.7.3, as `scripts/hdfs.py` built them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

HOME = Path(__file__).resolve().parents[2] / ".bench" / "hadoop-2.7.3"
#: What Java 17 hides from the reflection of 2016.
OPENED = [
    f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in "java.lang java.util java.net java.nio java.io".split()
]
LOGGED = (
    "log4j.rootLogger=INFO,out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
    "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
    "log4j.appender.out.layout.ConversionPattern=%d %p %c: %m%n\n"
)
DEADLINE = 120  # seconds that a server may take to come up on a busy machine


class Hadoop:
    """One NameNode and one DataNode on the loopback device, on ports and in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name_port, self.web_port, *self.data_ports = free_ports(5)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._configure()

    @property
    def web(self) -> str:
        """The root of WebHDFS."""
        return f"http://127.0.0.1:{self.web_port}/webhdfs/v1"

    def start(self) -> None:
        """Format the NameNode and start both."""
        self._java("namenode.NameNode", "-format", "-force", "-nonInteractive", log="format").wait()
        self.start_name_node()
        self.start_data_node()

    def start_name_node(self) -> None:
        """Start it, and wait until it accepts changes."""
        self._processes["name"] = self._java("namenode.NameNode", log="name")
        self._wait("name", lambda: "Safe" not in self._bean("NameNodeInfo")["Safemode"])

    def start_data_node(self) -> None:
        """Start it, and wait until the NameNode knows it under its new process."""
        self._processes["data"] = self._java("datanode.DataNode", log="data")
        mark = f"http://127.0.0.1:{self.data_ports[1]}/jmx"
        self._wait("data", lambda: requests.get(mark, timeout=5).ok and self._is_known())

    def kill(self, which: str) -> None:
        """kill -9, "name" or "data"."""
        self._processes[which].send_signal(signal.SIGKILL)
        self._processes.pop(which).wait()

    def stop(self) -> None:
        """Stop what runs."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _is_known(self) -> bool:
        """Whether a new file gets a place, which says more than any counter."""
        probe = f"{self.web}/probe-{time.monotonic_ns()}?op=CREATE&user.name={USER}&overwrite=true"
        step = requests.put(probe, allow_redirects=False, timeout=20)
        done = step.status_code == 307 and requests.put(step.headers["Location"], data=b"x", timeout=20).ok
        requests.delete(probe.replace("op=CREATE", "op=DELETE"), timeout=20)
        return done

    def _bean(self, name: str) -> dict:
        root = f"http://127.0.0.1:{self.web_port}/jmx?qry=Hadoop:service=NameNode,name={name}"
        return requests.get(root, timeout=5).json()["beans"][0]

    def _configure(self) -> None:
        data, web, ipc = self.data_ports
        settings = {
            "fs.defaultFS": f"hdfs://127.0.0.1:{self.name_port}",
            "dfs.namenode.http-address": f"127.0.0.1:{self.web_port}",
            "dfs.namenode.secondary.http-address": "127.0.0.1:0",
            "dfs.namenode.name.dir": f"file://{self.folder}/names",
            "dfs.datanode.data.dir": f"file://{self.folder}/blocks",
            "dfs.datanode.address": f"127.0.0.1:{data}",
            "dfs.datanode.http.address": f"127.0.0.1:{web}",
            "dfs.datanode.ipc.address": f"127.0.0.1:{ipc}",
            "dfs.datanode.hostname": "127.0.0.1",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.namenode.safemode.extension": "0",
            "dfs.namenode.fs-limits.min-block-size": "1024",
            "dfs.blocksize": str(1 << 20),  # a file of a few MB has several blocks
            "dfs.replication": "1",
            "dfs.heartbeat.interval": "1",
            "hadoop.tmp.dir": f"{self.folder}/tmp",
        }
        listed = "".join(f"<property><name>{k}</name><value>{v}</value></property>" for k, v in settings.items())
        (self.folder / "conf").mkdir()
        for name in ("core-site.xml", "hdfs-site.xml"):
            (self.folder / "conf" / name).write_text(f"<configuration>{listed}</configuration>")
        (self.folder / "conf" / "log4j.properties").write_text(LOGGED)

    def _java(self, server: str, *arguments: str, log: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(self.folder / "conf"), str(HOME), str(HOME / "lib" / "*")])
        command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *OPENED, "-cp", path]
        with (self.folder / f"{log}.log").open("ab") as output:
            return subprocess.Popen(
                [*command, f"org.apache.hadoop.hdfs.server.{server}", *arguments],
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "HADOOP_USER_NAME": USER},
                stdout=output,
                stderr=output,
            )

    def _wait(self, which: str, ready) -> None:
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until and self._processes[which].poll() is None:
            try:
                if ready():
                    return
            except (requests.RequestException, KeyError, IndexError):
                self._processes[which].poll()
            pause()
        raise AssertionError(f"the {which} node did not start:\n{(self.folder / f'{which}.log').read_text()[-3000:]}")


#: The superuser of the file system: who started it.
USER = os.environ.get("USER") or "root"


def pause() -> None:
    """Let the servers have the processor before the next question."""
    subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    held = [socket.socket() for _ in range(count)]
    try:
        for item in held:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in held]
    finally:
        for item in held:
            item.close()


@pytest.fixture(scope="session")
def hadoop() -> Iterator[Hadoop]:
    """The servers, running; skipped with the reason where they could not be built."""
    if not (HOME / "ready").exists():
        pytest.skip(f"no Hadoop at {HOME}: scripts/hdfs.py builds it, as root on Debian")
    folder = Path(tempfile.mkdtemp(prefix="tidemill-hdfs-"))
    servers = Hadoop(folder)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)
