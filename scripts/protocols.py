"""Compile the protocols of gRPC to the descriptors that the server loads: ``python scripts/protocols.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "src" / "tidemill" / "serving" / "grpc"
NAME = "open_inference"


def compiled() -> bytes:
    """The descriptor of the protocol, as a set of files."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{FOLDER}", "--descriptor_set_out=/dev/stdout"]
    return subprocess.run([*command, f"{NAME}.proto"], check=True, capture_output=True).stdout


if __name__ == "__main__":
    (FOLDER / f"{NAME}.descriptor").write_bytes(compiled())
