"""`import tidemill` and `tidemill --help` stay instant: nothing third-party is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys


def modules_after(code: str) -> set[str]:
    """Top-level module names that a fresh interpreter has loaded after `code`, beyond those it starts with."""
    script = f"import sys; before = set(sys.modules); {code}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_tidemill_loads_nothing_from_third_parties():
    loaded = modules_after("import tidemill")
    assert loaded - set(sys.stdlib_module_names) == {"tidemill"}
