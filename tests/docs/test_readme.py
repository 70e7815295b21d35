"""The first code that a stranger copies runs, as it stands on the page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

README = Path(__file__).parents[2] / "README.md"


def run(folder: Path, command: str) -> str:
    words = [sys.executable, "-m", "tidemill.cli", *command.split()[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_the_example_runs_as_it_stands(tmp_path):
    text = README.read_text()
    title, code = re.search(r'```python title="([^"]+)"\n(.*?)```', text, re.DOTALL).groups()
    (tmp_path / title).write_text(code)
    draw = np.random.default_rng(0)
    miles = draw.integers(100, 2500, 2000)
    hours = miles / 450 + draw.normal(0.5, 0.1, 2000)
    late = draw.random(2000) < 1 / (1 + np.exp(-(hours - miles / 450 - 0.5) * 15))
    pl.DataFrame({"miles": miles, "hours": hours, "late": late}).write_csv(tmp_path / "trips.csv")

    commands = re.findall(r"^\$ (tidemill [^#\n]+)", text[text.index(code) :], re.MULTILINE)
    assert [command.split()[1] for command in commands] == ["run", "plan", "models", "serve", "trace"]
    assert "succeeded" in run(tmp_path, commands[0])
    assert "1 effects" in run(tmp_path, commands[1])
    assert "version 1" in run(tmp_path, commands[2])
    assert "trips.csv" in run(tmp_path, commands[4])
