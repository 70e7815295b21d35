"""Every guide works by copy and paste: its files are written, its commands run, its Python is executed, in order.

A fenced block is acted on by its first line: ``python title="x.py"`` (or ``toml title=…``) writes a file; ``console``
runs the lines that start with ``$`` (``$ command  # exit 4`` expects that exit code); plain ``python`` is executed in
one namespace per guide. Blocks of other languages are only read by people.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = sorted([*(DOCS / "how-to").glob("*.md"), *(DOCS / "tutorial").glob("*.md")])
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    language: str
    title: str
    text: str


def blocks(guide: Path) -> list[Block]:
    found = []
    for language, rest, text in FENCE.findall(guide.read_text()):
        title = re.search(r'title="([^"]+)"', rest)
        found.append(Block(language, title.group(1) if title else "", text))
    return found


def run_console(text: str, folder: Path) -> None:
    for line in text.splitlines():
        if not line.startswith("$ "):
            continue
        command, _, comment = line[2:].partition("  # ")
        expected = int(comment.removeprefix("exit ")) if comment.startswith("exit ") else 0
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == expected, f"$ {command}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}"


def run_python(code: list[str], folder: Path) -> None:
    script = folder / "_guide.py"
    script.write_text("\n".join(code))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: f"{guide.parent.name}/{guide.name}")
def test_a_guide_works_by_copy_and_paste(guide, tmp_path):
    python: list[str] = []
    acted = 0
    for block in blocks(guide):
        if block.title:
            target = tmp_path / block.title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)
        elif block.language == "console":
            run_console(block.text, tmp_path)
        elif block.language == "python":
            python.append(block.text)
            run_python(python, tmp_path)
        else:
            continue
        acted += 1
    assert acted, f"{guide.name} has nothing to run"
    shutil.rmtree(tmp_path)
