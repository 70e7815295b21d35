"""Metaflow: 20 no-op steps one after another, each in a process of its own; it has no cache of results."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

STEPS = 20


def _source() -> str:
    """The steps of the flow, made in a loop: ``s0 → s1 → … → end``."""
    lines = ["@step", "def start(self):", "    self.number = 0", "    self.next(self.s0)"]
    for number in range(STEPS):
        following = f"s{number + 1}" if number + 1 < STEPS else "end"
        lines += ["@step", f"def s{number}(self):", f"    self.number = {number}", f"    self.next(self.{following})"]
    lines += ["@step", "def end(self):", "    pass"]
    return "\n".join("    " + line for line in lines)


FLOW = """
from metaflow import FlowSpec, step
class Many(FlowSpec):
{source}
if __name__ == "__main__":
    Many()
"""


def main() -> None:
    Path("many_flow.py").write_text(FLOW.format(source=_source()))
    wall, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "many_flow.py", "--quiet", "run"], check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - wall, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    print(json.dumps({"step_ms": seconds / (STEPS + 2) * 1e3, "step_cpu_ms": used / (STEPS + 2) * 1e3}), flush=True)


if __name__ == "__main__":
    main()
