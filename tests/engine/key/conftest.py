"""Small projects on disk, fingerprinted by a fresh interpreter each time, as `tidemill run` would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

_ANSWER = """
import json, os, sys
from importlib import import_module
from pathlib import Path
from tidemill.core.errors import TidemillError
from tidemill.engine.key import fingerprint
def answer(root, module, name, path):
    sys.path[:0] = [root, *([path] if path else [])]
    function = import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    try:
        found = fingerprint(function, Path(root))
        return {"digest": found.digest, "parts": dict(found.parts)}
    except TidemillError as error:
        return {"error": str(error)}
"""
#: One fresh interpreter: the only way to another hash seed.
_ONCE = _ANSWER + "print(json.dumps(answer(*sys.argv[1:])))"
#: An interpreter that has only imported, and forks for each question: as fresh, and a hundred times faster.
_FORKING = (
    _ANSWER
    + """
import traceback
for line in sys.stdin:
    ready, write = os.pipe()
    if os.fork() == 0:
        try:
            text = json.dumps(answer(*json.loads(line)))
        except BaseException:
            text = json.dumps({"crash": traceback.format_exc()})
        with os.fdopen(write, "w") as out:
            out.write(text)
        os._exit(0)
    os.close(write)
    with os.fdopen(ready) as given:
        print(given.read(), flush=True)
    os.wait()
"""
)


@pytest.fixture(scope="session")
def interpreter():
    """An interpreter that answers questions about projects, each in a child of its own."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", _FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        yield process
        process.stdin.close()


class SmallProject:
    """Modules in a folder: write, edit, fingerprint."""

    def __init__(self, root: Path, interpreter: subprocess.Popen[str]) -> None:
        self.root = root
        self._interpreter = interpreter

    def write(self, files: Mapping[str, str]) -> None:
        """Write modules, each a dedented text."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text that is there exactly once."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is in {name} {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def ask(self, target: str = "flow:fit", *, path: str = "", seed: str = "", root: Path | None = None) -> dict:
        """What a fresh interpreter answers for ``module:function``."""
        question = [str(root or self.root), *target.split(":"), path]
        if seed:
            environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
            command = [sys.executable, "-c", _ONCE, *question]
            text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        else:
            self._interpreter.stdin.write(json.dumps(question) + "\n")
            self._interpreter.stdin.flush()
            text = self._interpreter.stdout.readline()
        answer = json.loads(text)
        assert "crash" not in answer, answer["crash"]
        return answer

    def parts(self, target: str = "flow:fit", **options: str) -> dict[str, str]:
        """The parts of a fingerprint."""
        answer = self.ask(target, **options)
        assert "parts" in answer, answer
        return answer["parts"]


@pytest.fixture
def project(tmp_path: Path, interpreter: subprocess.Popen[str]) -> SmallProject:
    """An empty project."""
    return SmallProject(tmp_path / "mill", interpreter)


@pytest.fixture
def changes(project: SmallProject) -> Callable[..., list[str]]:
    """Write files, make one edit, and say what the second interpreter names as changed."""
    from tidemill.engine.key import explain

    def changed(files: Mapping[str, str], name: str, old: str, new: str) -> list[str]:
        project.write(files)
        before = project.parts()
        project.edit(name, old, new)
        return explain(before, project.parts())

    return changed
