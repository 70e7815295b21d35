"""A fixture: one real MariaDB for each test session, from Debian's package, on a port of this machine."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """A MariaDB server with its own data folder that listens on loopback; ``mysql://root@127.0.0.1:PORT/test``."""
    if shutil.which("mariadbd") is None:
        pytest.skip("mariadbd is not installed: make test-services installs it where it may")
    home = Path(tempfile.mkdtemp(prefix="tidemill-my-"))
    try:
        yield from _serve(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _serve(home: Path) -> Iterator[str]:
    data = home / "data"
    data.mkdir()
    user = pwd.getpwuid(os.geteuid()).pw_name
    if os.geteuid() == 0:  # it lends the folder to whom the package made for it
        user = "mysql"
        home.chmod(0o755)
        for folder in (home, data):
            shutil.chown(folder, user, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (home / "log").open("wb")
    common = ["--no-defaults", f"--user={user}", f"--datadir={data}"]
    subprocess.run(
        ["mariadb-install-db", *common, "--auth-root-authentication-method=normal"], check=True, stdout=log, stderr=log
    )
    settings = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={home}/socket", f"--pid-file={home}/pid"]
    fast = ["--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"]
    server = subprocess.Popen(["mariadbd", *common, *settings, *fast], stdout=log, stderr=log)
    try:
        _wait_until_ready(server, home)
        yield f"mysql://root@127.0.0.1:{port}/test"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        log.close()


def _wait_until_ready(server: subprocess.Popen[bytes], home: Path) -> None:
    # Every question is a process of its own, which paces the loop.
    question = ["mariadb-admin", "--no-defaults", f"--socket={home}/socket", "--user=root", "--silent", "ping"]
    for _ in range(600):
        if server.poll() is not None:
            break
        if subprocess.run(question, check=False, capture_output=True).returncode == 0:
            return
    raise AssertionError(f"MariaDB did not start:\n{(home / 'log').read_text()[-2000:]}")
