"""A real Spark for tests: a session in this process, and servers that are processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

START_SECONDS = 240


@pytest.fixture(scope="session")
def java():
    """What Spark needs, and Java set to start quickly here and in processes of the test."""
    pytest.importorskip("pyspark", reason="needs pyspark: make test-services installs it")
    os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


@pytest.fixture(scope="session")
def spark(java, tmp_path_factory):
    """A local session in a zone that is not UTC."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "OFF",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.session.timeZone": "America/New_York",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
    }
    session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    yield session
    session.stop()


@contextmanager
def connect_server() -> Iterator[str]:
    """A server of Spark Connect, as its start script runs it, on a free port; its URI."""
    port = free_port()
    command = [
        "bin/spark-submit", "--master", "local[2]", "--driver-memory", "512m",
        "--class", "org.apache.spark.sql.connect.service.SparkConnectServer",
        *_conf({
            "spark.connect.grpc.binding.port": port, "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
            "spark.log.level": "OFF", "spark.sql.session.timeZone": "America/New_York",
        }),
        "spark-internal",
    ]  # fmt: skip
    with started(command, port):
        yield f"sc://127.0.0.1:{port}"


@contextmanager
def standalone() -> Iterator[str]:
    """A master of its own with no worker; its URI."""
    port, page = free_port(), free_port()
    command = ["bin/spark-class", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1"]
    with started([*command, "--port", str(port), "--webui-port", str(page)], port):
        yield f"spark://127.0.0.1:{port}"


@contextmanager
def started(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A program of Spark, from when it listens; it and what it started are gone afterwards."""
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    process = subprocess.Popen(
        [str(home / command[0]), *command[1:]],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        limit = time.monotonic() + START_SECONDS
        while not answers(port):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < limit, f"{command[0]} does not listen at {port}"
            with pytest.raises(subprocess.TimeoutExpired):  # waits, and notices when the process ends
                process.wait(0.2)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _conf(settings: dict[str, object]) -> list[str]:
    return [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
