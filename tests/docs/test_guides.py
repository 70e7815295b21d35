"""Every guide works by copy and paste: its files are written, its commands run, its Python is executed, in order.

A fenced block is acted on by its first line:

- ``python title="x.py"`` (or ``toml title=…``, ``csv title=…``) writes a file, ``diff title=…`` changes one;
- ``console`` runs the lines that start with ``$``; ``$ command  # exit 4`` expects that exit code; a command that ends
  with ``&`` stays in the background until ``$ kill %1``; the lines below a command are what it must print;
- ``python`` is executed in the one interpreter of the guide; a ``text`` block right after it is what it must print.

A page with the line ``<!-- runs in make test-services -->`` needs what that target installs, and runs there.

In what is shown, ``…`` stands for anything in a line, a line of ``…`` for any lines, and runs of spaces are one. Blocks
of other languages are only read by people.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = sorted([*(DOCS / "how-to").glob("*.md"), *(DOCS / "tutorial").glob("*.md")])
SERVICES = "<!-- runs in make test-services -->"
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: The port that servers of the guides take; each test takes a free one instead.
PORT = "8080"
SECONDS = 120
#: The interpreter that a reader keeps open: it executes each block that it is sent and answers with what that printed.
INTERPRETER = """
def serve():
    import contextlib, io, json, pathlib, sys, traceback

    names, script, answers = vars(sys.modules["__main__"]), pathlib.Path("_guide.py").absolute(), sys.stdout
    del names["serve"]
    names["__file__"] = str(script)
    sys.path.insert(0, "")
    for request in sys.stdin:
        before = script.read_text() if script.exists() else ""
        code = "\\n" * before.count("\\n") + json.loads(request)
        script.write_text(before + json.loads(request))
        error = ""
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            try:
                exec(compile(code, str(script), "exec"), names)
            except BaseException:
                error = traceback.format_exc()
        print(json.dumps([printed.getvalue(), error]), file=answers, flush=True)


serve()
"""


class Block(NamedTuple):
    language: str
    title: str
    text: str


def blocks(text: str) -> list[Block]:
    found = []
    for language, rest, body in FENCE.findall(text):
        title = re.search(r'title="([^"]+)"', rest)
        found.append(Block(language, title.group(1) if title else "", body))
    return found


def shows(page: str, printed: str) -> bool:
    """Whether a page shows what was printed."""
    wanted, found = ([" ".join(line.split()) for line in text.strip().splitlines()] for text in (page, printed))
    lines = (r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*?") + r"\n" for line in wanted)
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in found)) is not None


class Reader:
    """Someone who does what a guide says, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                # neither the width of somebody's screen, nor how these tests are run
                if not name.startswith(("TIDEMILL_", "PYTEST_")) and name != "COLUMNS"
            },
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }
        self.server: subprocess.Popen[str] | None = None
        self.python: subprocess.Popen[str] | None = None

    def follow(self, text: str) -> int:
        """Do all that a guide says; returns how many blocks were acted on."""
        acted = 0
        found = blocks(text)
        for block, after in zip(found, [*found[1:], Block("", "", "")], strict=True):
            if block.language == "diff" and block.title:
                self.change(block)
            elif block.title:
                target = self.folder / block.title
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text)
            elif block.language == "console":
                for command, output in commands(block.text):
                    self.run(command, output)
            elif block.language == "python":
                self.execute(block.text, after.text if after.language == "text" else "…")
            else:
                continue
            acted += 1
        return acted

    def change(self, block: Block) -> None:
        """Replace the lines of a hunk that are there before by those after."""
        target, lines = self.folder / block.title, block.text.splitlines()
        before, after = (
            "".join(f"{line[1:]}\n" for line in lines if line[:1] in ("", " ", mark)) for mark in ("-", "+")
        )
        text = target.read_text()
        assert text.count(before) == 1, f"{block.title} does not have these lines once:\n{before}\n{text}"
        target.write_text(text.replace(before, after))

    def run(self, command: str, output: str) -> None:
        """Run one line of a shell."""
        command, _, comment = command.partition("  # ")
        expected = int(comment.removeprefix("exit ")) if comment.startswith("exit ") else 0
        if command == "kill %1":
            self.stop()
        elif command.endswith(" &"):
            self.start(f"exec {command.removesuffix(' &')}", output)
        else:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            code = done.returncode if done.returncode >= 0 else 128 - done.returncode  # as a shell says it
            assert code == expected, f"$ {command}\nexit {code}\n{done.stdout}"
            assert shows(output, done.stdout), f"$ {command}\nprints\n{done.stdout}\nand the page shows\n{output}"

    def start(self, command: str, output: str) -> None:
        """Start what stays in the background, and wait for its first line."""
        self.server = subprocess.Popen(
            ["bash", "-c", command], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        line = self._first_line(self.server)
        assert shows(output, line), f"$ {command}\nprints\n{line}\nand the page shows\n{output}"

    def stop(self) -> None:
        assert self.server is not None
        self.server.terminate()
        self.server.communicate(timeout=SECONDS)
        ends_itself = "tidemill" in self.server.args[-1]  # a server of ours drains; Python's own just ends
        assert self.server.returncode in ((0,) if ends_itself else (0, -signal.SIGTERM))
        self.server = None

    def execute(self, code: str, output: str) -> None:
        """Execute a block in the guide's interpreter."""
        if self.python is None:
            self.python = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", INTERPRETER],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        assert self.python.stdin is not None
        print(json.dumps(code), file=self.python.stdin, flush=True)
        answer = self._first_line(self.python)
        while not answer.startswith("["):  # what was written to the standard error on the way
            assert answer, f"{code}\nended the interpreter"
            answer = self._first_line(self.python)
        printed, error = json.loads(answer)
        assert not error, f"{code}\nraised\n{error}"
        assert shows(output, printed), f"{code}\nprints\n{printed}\nand the page shows\n{output}"

    def _first_line(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        limit = threading.Timer(SECONDS, process.kill)
        limit.start()
        try:
            return process.stdout.readline()
        finally:
            limit.cancel()

    def leave(self) -> None:
        for process in (self.server, self.python):
            if process is not None:
                process.kill()
                process.communicate()


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what the page says that it prints; anything, if it says nothing."""
    found: list[tuple[str, str]] = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            line, _, output = output.partition("\n")
            command = f"{command[:-1]}{line.removeprefix('> ').lstrip()}"
        found.append((command, output if output.strip() else "…"))
    return found


def marked(guides: list[Path]) -> list[Any]:
    """The guides as parameters; those that need services are marked so."""
    marks = {guide: [pytest.mark.services] if SERVICES in guide.read_text() else [] for guide in guides}
    return [pytest.param(guide, marks=mark) for guide, mark in marks.items()]


@pytest.mark.slow
@pytest.mark.parametrize("guide", marked(GUIDES), ids=lambda guide: f"{guide.parent.name}/{guide.name}")
def test_a_guide_works_by_copy_and_paste(guide, tmp_path):
    folder = tmp_path / guide.stem
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    reader = Reader(folder)
    try:
        assert reader.follow(guide.read_text().replace(PORT, str(port))), f"{guide.name} has nothing to run"
    finally:
        reader.leave()
    shutil.rmtree(tmp_path)


def test_what_a_page_shows_is_compared():
    printed = "run 01kg  train: succeeded\n\nstep   took\nfit    3 ms\n"
    assert shows("run … train: succeeded\n\nstep took\nfit …", printed)
    assert shows("…\nfit …", printed)
    assert not shows("run … train: failed\n…", printed)
    assert not shows("fit 3 ms", printed)
    assert commands("$ a\n$ b \\\n    c  # exit 2\nout\n\n") == [("a", "…"), ("b c  # exit 2", "out\n\n")]
