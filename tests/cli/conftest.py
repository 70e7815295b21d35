"""How a test calls the command line: in a process of its own, as a user does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: A project that is run in milliseconds.
SMALL = """
import tidemill as tm
from shapes import scale

LIMIT = 3


@tm.step
def numbers(count: int) -> list[int]:
    print("making", count, "numbers")
    return [min(n, LIMIT) * scale() for n in range(count)]


@tm.step
def total(values: list[int]) -> int:
    return sum(values)


@tm.pipeline
def train(count: int = 4) -> int:
    return total(numbers(count))
"""
HELPER = "def scale():\n    return 2\n"
#: One branch fails after having said something, the other one finishes.
FAILING = """
import tidemill as tm


@tm.step
def rows(count: int) -> list[int]:
    return list(range(count))


@tm.step
def broken(values: list[int]) -> int:
    print("looking at", len(values), "values")
    raise ValueError("the seventh is missing")


@tm.step
def fine(values: list[int]) -> int:
    return len(values)


@tm.pipeline
def train(count: int = 6) -> int:
    made = rows(count)
    fine(made)
    return broken(made)
"""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        return self.lines[-1]


class CommandLine:
    """Runs `tidemill` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, expect: int | None = 0, **environment: str) -> Done:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert expect is None or done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        if "--debug" not in arguments:
            assert "Traceback (most recent call last)" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "tidemill.cli", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "COLUMNS": "120", "OMP_NUM_THREADS": "1", **more}

    def write(self, **files: str) -> None:
        """Write modules; the name of each is that of the keyword."""
        for name, text in files.items():
            (self.folder / f"{name}.py").write_text(text, encoding="utf-8")

    def json(self, *arguments: str, expect: int = 0, **environment: str) -> dict[str, Any]:
        """The last line of a command under ``--json``."""
        return self(*arguments, "--json", expect=expect, **environment).summary


@pytest.fixture
def tidemill(tmp_path: Path) -> CommandLine:
    """The command line in an empty folder."""
    return CommandLine(tmp_path)


@pytest.fixture
def small(tidemill: CommandLine) -> CommandLine:
    """The command line in a project of two quick steps, which has not been run."""
    tidemill.write(pipeline=SMALL, shapes=HELPER)
    (tidemill.folder / "tidemill.toml").write_text('[project]\nname = "small"\n', encoding="utf-8")
    return tidemill


@pytest.fixture
def failing(tidemill: CommandLine) -> CommandLine:
    """The command line in a project whose pipeline fails in one of its branches."""
    tidemill.write(pipeline=FAILING)
    (tidemill.folder / "tidemill.toml").write_text('[project]\nname = "failing"\n', encoding="utf-8")
    return tidemill


@pytest.fixture(scope="session")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table to learn from: 569 tumours, benign or malignant."""
    pytest.importorskip("lightgbm", reason="training needs the extra [ml]")
    datasets = pytest.importorskip("sklearn.datasets", reason="training needs the extra [ml]")
    frame = datasets.load_breast_cancer(as_frame=True).frame
    frame.columns = [name.replace(" ", "_") for name in frame.columns]
    file = tmp_path_factory.mktemp("cells") / "cells.csv"
    frame.to_csv(file, index=False)
    return file


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cells: Path) -> CommandLine:
    """A project made by ``tidemill init`` from a table, trained once; not to be changed by a test."""
    here = CommandLine(tmp_path_factory.mktemp("trained"))
    shutil.copy(cells, here.folder / "cells.csv")
    here("init", "--name", "cells", "--data", "cells.csv", "--target", "target")
    here("run", "train", "--set", "trials=2")
    here("models", "promote", "cells@1")
    return here


@pytest.fixture
def model(trained: CommandLine, tmp_path: Path) -> CommandLine:
    """A copy of the trained project, to do with as one likes."""
    shutil.copytree(trained.folder, tmp_path / "project")
    return CommandLine(tmp_path / "project")
