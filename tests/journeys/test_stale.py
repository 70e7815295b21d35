"""What changed runs again and is named by the plan, what did not is left alone: with the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

METADATA = "../site-packages/acme-1.0.dist-info/METADATA"
FILES = {
    "tidemill.toml": '[project]\nname = "stale"\nmodules = ["flow"]\n[sources.numbers]\nuri = "data/numbers.csv"\n',
    "data/numbers.csv": "a\n1\n2\n",
    "flow.py": """
import polars as pl
import tidemill as tm
from middle import shifted

def scaler(by):
    def scale(number):
        return number * by
    return scale

scale = scaler(3)

@tm.step
def total(table: pl.DataFrame) -> int:
    return int(table["a"].sum())

@tm.step
def fit(total: int) -> int:
    return scale(shifted(total))

@tm.step
def apart(number: int) -> int:
    return number

@tm.pipeline
def train(number: int = 1) -> list[int]:
    return [fit(total(tm.read("numbers"))), apart(number)]
""",
    "middle.py": "from deep import LIMIT, helper\n\ndef shifted(number):\n    return min(helper(number), LIMIT)\n",
    "deep.py": "import acme\n\nLIMIT = 1000\n\ndef helper(number):\n    return acme.add(number, 1)\n",
    "../site-packages/acme/__init__.py": "def add(left, right):\n    return left + right\n",
    METADATA: "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n",
    "../site-packages/acme-1.0.dist-info/RECORD": "acme/__init__.py,,\n",
}
#: What is edited, in which file, from what to what; what the plan must name (nothing: all stays cached); the result.
EDITS = [
    ("a comment", "deep.py", "LIMIT = 1000", "LIMIT = 1000  # at most", None, 12),
    ("formatting", "middle.py", "(helper(number), LIMIT)", "(\n        helper(number), LIMIT\n    )", None, 12),
    ("a helper two modules away", "deep.py", "add(number, 1)", "add(number, 2)", "deep.helper", 15),
    ("a constant", "deep.py", "LIMIT = 1000", "LIMIT = 4", "deep.LIMIT", 12),
    ("a closure value", "flow.py", "scaler(3)", "scaler(5)", "closure value by", 20),
    ("the version of a package", METADATA, "Version: 1.0", "Version: 1.1", "package acme changed from 1.0 to 1.1", 20),
    ("an input file", "data/numbers.csv", "a\n1\n", "a\n-1\n", "parameter source", 15),
]


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def tidemill(project: Path, *args: str) -> list[dict]:
    """The lines of a command, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(project.parent / "site-packages"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tidemill.cli", *args, "--json"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def planned(project: Path) -> dict[str, tuple[str, str]]:
    """Action and reasons by step, from the plan."""
    lines = tidemill(project, "plan", "train", "--why")
    nodes = [line["node"] for line in lines if "node" in line]
    return {node["step"]: (node["action"], " ".join(node["reasons"])) for node in nodes}


def ran(project: Path) -> dict[str, str]:
    """How each step ended, from a run."""
    return {step["step"]: step["status"] for step in tidemill(project, "run", "train")[-1]["steps"]}


def result(project: Path) -> int:
    """The result of the last run, which is all cached now."""
    code = "import flow; print(flow.train()[0])"
    environment = {**os.environ, "PYTHONPATH": f"{project.parent / 'site-packages'}:{project}"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_what_changed_runs_again_and_the_plan_names_it(project):
    assert set(ran(project).values()) == {"succeeded"}
    for what, name, old, new, cause, expected in EDITS:
        path = project / name
        assert old in path.read_text(), what
        path.write_text(path.read_text().replace(old, new))
        if name.endswith("METADATA"):
            path.parent.rename(project.parent / "site-packages" / "acme-1.1.dist-info")
        plan = planned(project)
        assert plan["apart"][0] == "cached", what
        if cause is None:
            assert {action for action, _ in plan.values()} == {"cached"}, f"{what}: {plan}"
            assert set(ran(project).values()) == {"cached"}, what
        else:
            changed = [reasons for action, reasons in plan.values() if action == "run"]
            assert any(cause in reasons for reasons in changed), f"{what}: {plan}"
            statuses = ran(project)
            assert (statuses["fit"], statuses["apart"]) == ("succeeded", "cached"), (what, statuses)
        assert result(project) == expected, what
