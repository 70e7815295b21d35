"""The cheaper way of reading is taken where it is known, without a complaint of gRPC that users would see."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tidemill.serving.grpc import polling
from tidemill.serving.grpc.polling import choose_polling

pytestmark = pytest.mark.fast
SERVE = """
import asyncio, os
from tidemill.serving.grpc.polling import choose_polling
choose_polling(os.environ)
from grpc import aio
async def serve():
    server = aio.server()
    server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await server.stop(0)
asyncio.run(serve())
"""


def test_the_installed_grpc_knows_what_it_is_told() -> None:
    """It says "Unknown experiment" on standard error else, below the line that says that a server is ready."""
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    done = subprocess.run([sys.executable, "-c", SERVE], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("installed", "chosen"), [("1.66.0", True), ("1.85.3", True), ("1.86.0", False), ("2.0.0", False)]
)
def test_a_grpc_that_was_not_measured_is_left_as_it_comes(
    monkeypatch: pytest.MonkeyPatch, installed: str, chosen: bool
) -> None:
    monkeypatch.setattr(polling, "version", lambda _name: installed)
    environment: dict[str, str] = {}
    choose_polling(environment)
    assert ("GRPC_EXPERIMENTS" in environment) is chosen
