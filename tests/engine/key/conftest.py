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

_SCRIPT = """
import json, sys
from importlib import import_module
from pathlib import Path
from tidemill.core.errors import TidemillError
from tidemill.engine.key import fingerprint
root, module, name = sys.argv[1:]
sys.path.insert(0, root)
function = import_module(module)
for part in name.split("."):
    function = getattr(function, part)
try:
    found = fingerprint(function, Path(root))
    print(json.dumps({"digest": found.digest, "parts": dict(found.parts)}))
except TidemillError as error:
    print(json.dumps({"error": str(error)}))
"""


class SmallProject:
    """Modules in a folder: write, edit, fingerprint."""

    def __init__(self, root: Path) -> None:
        self.root = root

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

    def ask(self, target: str = "flow:fit", *, path: str = "", seed: str = "random", root: Path | None = None) -> dict:
        """What a fresh interpreter answers for ``module:function``."""
        module, _, name = target.partition(":")
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(root or self.root), module, name],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def parts(self, target: str = "flow:fit", **options: str) -> dict[str, str]:
        """The parts of a fingerprint."""
        answer = self.ask(target, **options)
        assert "parts" in answer, answer
        return answer["parts"]


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    """An empty project."""
    return SmallProject(tmp_path / "mill")


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
