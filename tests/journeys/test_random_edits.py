"""Any edit of any part of a project: a run that uses the cache gives what a run without it gives."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SEED = 20130901
EDITS = 150
MODULES = 5
#: An interpreter that has only imported, and forks for each run: as fresh as a new one, and much faster.
RUNNER = """
import os, sys
from tidemill.engine import pipeline
from tidemill.store import open_store
here, url, artifacts = sys.argv[1:]
sys.dont_write_bytecode = True
for line in sys.stdin:
    read, write = os.pipe()
    if os.fork() == 0:
        code = 1
        try:
            sys.path.insert(0, here)
            import flow, json
            with open_store(url, artifacts) as store:
                cached = flow.train.using(store=store).run()
                plain = flow.train.using(store=store, cache=False).run()
            text = json.dumps([cached.result, plain.result, [step.status for step in cached.steps]])
            os.write(write, text.encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as given:
        print(given.read(), flush=True)
    os.wait()
"""


class Project:
    """Modules that call each other in every way that code is reached, and numbers in them that may change."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        self.numbers = {(module, slot): rng.randrange(100) for module in range(MODULES) for slot in range(8)}
        self.unused = 0

    def write(self) -> None:
        for module in range(MODULES):
            self._write(f"part{module}.py", self._module(module))
        calls = ", ".join(f"step{module}({module})" for module in range(MODULES))
        steps = "".join(
            f"@step\ndef step{module}(x: int) -> int:\n    return part{module}.entry(x) % 1000003\n\n\n"
            for module in range(MODULES)
        )
        imports = "".join(f"import part{module}\n" for module in range(MODULES))
        body = f"@pipeline\ndef train() -> list[int]:\n    return [{calls}]\n"
        self._write("flow.py", f"{imports}from tidemill.engine import pipeline, step\n\n\n{steps}{body}")

    def edit(self) -> tuple[str, object]:
        """Change one number, or something that does not count; says what."""
        if self.rng.random() < 0.2:
            self.unused += 1
            return "unused", self.unused
        place = self.rng.choice(list(self.numbers))
        self.numbers[place] = self.rng.randrange(100)
        return "number", place

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)

    def _module(self, module: int) -> str:
        n = [self.numbers[module, slot] for slot in range(8)]
        following = f"part{module + 1}" if module + 1 < MODULES else ""
        deeper = f"{following}.entry(x + 1)" if following else "x"
        return f"""
import functools
{f"import {following}" if following else ""}

LIMIT = {n[0]}
TABLE = {{"a": [{n[1]}, {{"b": {n[2]}}}]}}
unused = {self.unused}  # edit {self.unused}


def maker(by):
    def made(x, plus={n[3]}):
        return x * by + plus
    return made


scale = maker({n[4]})


class Base:
    offset = {n[5]}

    def shift(self, x):
        return x + self.offset


class Shift(Base):
    @property
    def amount(self):
        return {n[6]}

    def __call__(self, x):
        return self.shift(x) + self.amount


@functools.lru_cache
def remembered(x):
    return x ^ {n[7]}


def entry(x):
    total = LIMIT + TABLE["a"][0] + TABLE["a"][1]["b"]
    total += sum(map(lambda v: scale(v) + Shift()(v), [x, x + 1]))
    return total + remembered(x) + {deeper}
"""


def test_no_edit_gives_a_stale_result(tmp_path):
    """A team would ship a model that was trained by code which is not in the repository any more."""
    project = Project(tmp_path / "project", random.Random(SEED))
    project.folder.mkdir()
    project.write()
    arguments = [str(project.folder), f"sqlite:///{tmp_path}/store.db", str(tmp_path / "artifacts")]
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "POLARS_MAX_THREADS": "1"},
    )
    cached = repeated = 0
    with runner:
        for _ in range(EDITS):
            what = project.edit()
            project.write()
            runner.stdin.write("\n")
            runner.stdin.flush()
            with_cache, without, statuses = json.loads(runner.stdout.readline())
            assert with_cache == without, f"stale after {what}: {statuses}"
            cached += statuses.count("cached")
            repeated += statuses.count("succeeded")
            if what[0] == "unused" and _ > 0:
                assert set(statuses) == {"cached"}, f"{what} made steps run again"
        runner.stdin.close()
    assert cached > EDITS
    assert repeated > EDITS
