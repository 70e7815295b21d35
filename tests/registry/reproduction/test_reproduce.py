"""A model version is made again from its record alone; where it cannot be, the first step that diverges is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tidemill.core.errors import NotFoundError, RunError, UsageError
from tidemill.project import load_project, open_project_store, use_project
from tidemill.registry.reproduction import verb
from tidemill.registry.reproduction.verb import reproduce
from tidemill.store import models, runs

TOML = """
[project]
name = "delays"
[sources.delays]
uri = "delays.csv"
"""
PIPELINE = """
import os
import polars as pl
from sklearn.linear_model import LogisticRegression
import tidemill as tm
from helping import widened

@tm.step
def prepared(delays: pl.LazyFrame) -> pl.DataFrame:
    return widened(delays.collect())

def build(params):
    return LogisticRegression(C=params["strength"])

@tm.pipeline
def train(strength: float = 1.0) -> tm.ModelVersion:
    data = tm.split(prepared(tm.read("delays")), tm.by_share(seed=3), "late")
    model = tm.train(build, {"strength": strength}, data, name="delays")
    return tm.register(tm.package(model, data.validation), tm.evaluate(model, data.validation, bootstrap=20))
"""
NOTEBOOK = """
if __name__ == "__main__":
    table = pl.read_csv("delays.csv")
    tm.register(tm.train(build, {"strength": 1.0}, tm.split(table, tm.by_share(), "late"), name="by-hand"))
"""
HELPING = """
def widened(table):
    return table.with_columns(double=table["wind"] * 2)
"""
ROWS = "wind,late\n" + "\n".join(f"{at % 37},{int(at % 37 + at % 5 > 20)}" for at in range(300))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "delays"
    root.mkdir()
    for name, text in {"tidemill.toml": TOML, "flow.py": PIPELINE, "helping.py": HELPING, "delays.csv": ROWS}.items():
        (root / name).write_text(text)
    monkeypatch.chdir(root)
    return root


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose version 1 was registered by a run, at its one commit."""
    root = tmp_path_factory.mktemp("made") / "delays"
    with pytest.MonkeyPatch.context() as patch:
        folder.__wrapped__(root.parent, patch)  # type: ignore[attr-defined]
        commit(root, "first")
        tidemill(root, "run", "train", "--set", "strength=0.25")
    return root


@pytest.fixture
def recorded(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project, to be spoiled."""
    root = tmp_path / "delays"
    shutil.copytree(made, root)
    monkeypatch.chdir(root)
    return root


def tidemill(folder: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tidemill", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def commit(folder: Path, message: str) -> str:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "flow.py", "helping.py", "tidemill.toml"], ["commit", "-qm", message]):
        subprocess.run([*git, *words], cwd=folder, check=True, capture_output=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True).stdout


def changed(folder: Path, name: str, edit: Callable[[str], str]) -> None:
    path = folder / name
    path.write_text(edit(path.read_text()))


def test_a_version_is_made_again_after_its_data_and_code_are_gone(recorded: Path) -> None:
    made = subprocess.run(["git", "rev-parse", "HEAD"], cwd=recorded, check=True, capture_output=True, text=True).stdout
    before = tidemill(recorded, "models", "list", "--json")
    (recorded / "delays.csv").unlink()
    changed(recorded, "helping.py", lambda text: text.replace("* 2", "* 3"))
    commit(recorded, "later")
    said = tidemill(recorded, "reproduce", "delays@1")
    assert "delays@1 is reproduced" in said
    assert f"code: commit {made[:12]}\n" in said
    last = json.loads(tidemill(recorded, "reproduce", "delays@1", "--json").splitlines()[-1])
    assert (last["status"], last["unsaved"], last["problem"]) == ("equal", [], "")
    outcomes = {step["node"]: step["outcome"] for step in last["steps"]}
    assert outcomes["package"] == outcomes["train"] == outcomes["evaluate"] == "equal"
    assert outcomes["read"] == outcomes["register_model"] == "taken"
    assert tidemill(recorded, "models", "list", "--json") == before
    assert tidemill(recorded, "runs").count("train (again)") == 2


def test_what_was_not_committed_is_kept_by_the_run_itself(folder: Path) -> None:
    commit(folder, "first")
    changed(folder, "helping.py", lambda text: text.replace("* 2", "* 5"))
    tidemill(folder, "run", "train")
    changed(folder, "helping.py", lambda text: "raise SystemExit('not the recorded code')")
    with use_project(load_project(folder)):
        found = reproduce("delays@1", folder=folder.parent / "ground")
    assert found.is_equal
    assert found.unsaved == ("helping.py",)
    assert "* 5" in (folder.parent / "ground" / "helping.py").read_text()


@pytest.mark.parametrize("is_kept", [True, False], ids=["killed-after-registering", "killed-before-registering"])
def test_a_version_of_a_run_that_was_killed_and_resumed_is_made_again(folder: Path, is_kept: bool) -> None:
    last = "real(*args, **more); os._exit(9)" if is_kept else "os._exit(9)"
    program = f"""
import os, runpy, sys
from tidemill.registry import verbs
real = verbs.register_version
def killed(*args, **more):
    {last}
verbs.register_version = killed
sys.argv = ["tidemill", "run", "train"]
runpy.run_module("tidemill", run_name="__main__")
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=folder, check=False, capture_output=True).returncode == 9
    tidemill(folder, "run", "train", "--resume")
    store = open_project_store(load_project(folder))
    with store.metadata.reading() as tx:
        (version,) = models.list_versions(tx, "delays")
        (resumed, killed) = runs.list_runs(tx, pipeline="train")
    assert version.run_id == (killed if is_kept else resumed).id
    found = tidemill(folder, "reproduce", "delays@1")
    assert "delays@1 is reproduced" in found
    assert "register_model" in found


def test_without_git_the_files_that_the_run_kept_are_enough(recorded: Path) -> None:
    shutil.rmtree(recorded / ".git")
    (recorded / "flow.py").unlink()
    (recorded / "helping.py").unlink()
    with use_project(load_project(recorded)):
        found = reproduce("delays@1")
        assert found.is_equal
        assert set(found.unsaved) == {"flow.py", "helping.py", "tidemill.toml"}
        with pytest.raises(UsageError, match="new or empty folder"):
            reproduce("delays@1", folder=recorded)


def test_a_step_that_does_not_give_the_same_result_twice_is_named(folder: Path) -> None:
    changed(folder, "helping.py", lambda text: "import os\n" + text.replace("* 2", "* os.urandom(1)[0] + os.getpid()"))
    tidemill(folder, "run", "train")
    said = tidemill(folder, "reproduce", "delays@1", code=5)
    assert "it first diverges at prepared: column double, row " in said
    assert "nothing that it depends on changed: it does not give the same result twice" in said
    with use_project(load_project(folder)):
        found = reproduce("delays@1")
    assert found.divergence is not None
    assert found.divergence.node == "prepared"
    later = next(step for step in found.steps if step.node == "train")
    assert later.outcome == "different"
    assert later.reasons


def test_a_step_that_fails_is_where_it_diverges(folder: Path) -> None:
    (folder.parent / "outside.txt").write_text("2")
    changed(
        folder, "helping.py",
        lambda text: text.replace("* 2", f"* int(open({str(folder.parent / 'outside.txt')!r}).read())"),
    )  # fmt: skip
    tidemill(folder, "run", "train")
    (folder.parent / "outside.txt").unlink()
    with use_project(load_project(folder)):
        found = reproduce("delays@1")
    assert not found.is_equal
    assert found.divergence is not None
    assert (found.divergence.node, found.divergence.outcome) == ("prepared", "absent")
    assert "outside.txt" in found.sentence


@pytest.fixture
def tiny(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a version of a distribution ``tinyscale`` into a folder on the path, and keeps a wheel of it for pip."""
    place, wheels = folder.parent / "site" / "site-packages", folder.parent / "wheels"
    place.mkdir(parents=True)
    wheels.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(place))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.syspath_prepend(str(place))

    def install(version: str) -> None:
        info = f"tinyscale-{version}.dist-info"
        for old in place.glob("tinyscale-*"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        files = {
            "tinyscale.py": f"FACTOR = {version}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tinyscale\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        with zipfile.ZipFile(wheels / f"tinyscale-{version}-py3-none-any.whl", "w") as wheel:
            for name, text in files.items():
                wheel.writestr(name, text)
                (place / name).parent.mkdir(exist_ok=True)
                (place / name).write_text(text)

    return install


def test_another_version_of_a_package_is_named_and_can_be_taken_back(folder: Path, tiny: Callable[[str], None]) -> None:
    changed(folder, "helping.py", lambda text: "import tinyscale\n" + text.replace("* 2", "* tinyscale.FACTOR"))
    tiny("1.0")
    tidemill(folder, "run", "train")
    tiny("2.0")
    said = tidemill(folder, "reproduce", "delays@1", code=5)
    assert "package tinyscale changed from 1.0 to 2.0" in said
    assert "package tinyscale: 1.0 then, 2.0 now" in said
    assert "delays@1 is reproduced" in tidemill(folder, "reproduce", "delays@1", "--environment")
    (folder.parent / "wheels" / "tinyscale-1.0-py3-none-any.whl").unlink()
    refused = tidemill(folder, "reproduce", "delays@1", "--environment", code=RunError.exit_code)
    assert "the recorded packages cannot be installed" in refused


def test_what_cannot_be_made_again_says_why(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(recorded, "flow.py", lambda text: text + NOTEBOOK)
    subprocess.run([sys.executable, "flow.py"], cwd=recorded, check=True, capture_output=True)
    with use_project(load_project(recorded)) as project:
        with pytest.raises(NotFoundError):
            reproduce("delays@7")
        with pytest.raises(UsageError, match="registered outside of a run"):
            reproduce("by-hand@1")
        store = open_project_store(project)
        shutil.rmtree(recorded / ".git")
        monkeypatch.setattr(verb, "recorded_table", lambda store, run, name: {})
        monkeypatch.setattr("tidemill.registry.reproduction.ground.recorded_table", lambda store, run, name: {})
        with pytest.raises(NotFoundError, match="has not kept its code"):
            reproduce("delays@1")
        monkeypatch.undo()
        assert store.metadata.exists()


def test_a_process_that_ends_without_an_answer_is_an_error(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(recorded, "helping.py", lambda text: "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    commit(recorded, "later")
    monkeypatch.setattr(verb, "_CHILD", "helping")
    with use_project(load_project(recorded)), pytest.raises(RunError, match="without an answer"):
        reproduce("delays@1")
