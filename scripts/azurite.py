"""Install Azurite, the emulator of Azure storage, out of npm, for the service tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "3.35.0"
HOME = Path(__file__).resolve().parents[1] / ".bench" / f"azurite-{VERSION}"
PROGRAM = HOME / "node_modules" / ".bin" / "azurite-blob"


def main() -> int:
    """Install it unless it is here; print why not where it cannot be."""
    if PROGRAM.exists():
        print(f"services: Azurite {VERSION} is here:", HOME)
        return 0
    if shutil.which("npm") is None:
        print("services: no Azurite, npm is missing; the tests against Azure skip.")
        return 0
    HOME.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(HOME), f"azurite@{VERSION}"]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"services: {' '.join(command)} failed, so the tests against Azure skip:")
        print((done.stderr or done.stdout).strip()[-2000:])
        return 0
    print(f"services: installed Azurite {VERSION}:", HOME)
    return 0


if __name__ == "__main__":
    sys.exit(main())
