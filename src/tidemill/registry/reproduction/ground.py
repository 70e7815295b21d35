"""The ground to repeat a run on: the recorded code in a folder, and the recorded packages where they differ."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tidemill.core.errors import NotFoundError, RunError
from tidemill.core.records import Run
from tidemill.engine import provenance
from tidemill.store import Store, executions, runs

#: Among so many of the newest runs of a pipeline is looked for those that went on from another.
_LATER = 1000


def recorded_table(store: Store, run: Run, name: str) -> dict[str, str]:
    """A table that a run's environment names by its digest: ``"packages"`` or ``"sources"``; empty if it has none."""
    with store.metadata.reading() as tx:
        return executions.get_fingerprint(tx, str(run.environment.get(name, ""))) or {}


def going_on(store: Store, run_id: str) -> tuple[str, ...]:
    """A run and those that went on from it in turn: a run can be killed when its version is in the store already."""
    with store.metadata.reading() as tx:
        found = [runs.get(tx, run_id)]
        later = runs.list_runs(tx, project=found[0].project, pipeline=found[0].pipeline, limit=_LATER)
    while following := [run for run in later if run.resumed_from == found[-1].id]:
        found.append(following[0])
    return tuple(run.id for run in found)


def lay_out(store: Store, run: Run, root: Path, folder: Path) -> tuple[str, ...]:
    """Write the project as it was when a run began.

    Parameters
    ----------
    store, run
        The run, and where it is recorded.
    root
        The project's folder, for its git repository.
    folder
        Where to write: what the recorded commit holds, then the files that the run itself recorded.

    Returns
    -------
    tuple of text
        The recorded files that are not as the commit has them, or that it does not have; all of them without a commit.

    Raises
    ------
    NotFoundError
        When neither the run nor its commit has any file.
    """
    committed = _commit(root, run.commit, folder) if run.commit else False
    texts = recorded_table(store, run, "sources")
    unsaved = tuple(name for name, text in texts.items() if not committed or _text(folder / name) != text)
    for name in unsaved:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[name], encoding="utf-8")
    if not texts and not committed:
        raise NotFoundError(
            f"run {run.id} has not kept its code, and its commit is not in the repository of {root}",
            value=run.commit or "no commit",
            hint="Fetch the commit (git fetch), or reproduce a version that a later run made.",
        )
    return unsaved


def _commit(root: Path, commit: str, folder: Path) -> bool:
    """Write a commit's files below the project's folder; whether git knows the commit."""
    prefix = _git(root, "rev-parse", "--show-prefix")
    tree = None if prefix is None else _git(root, "archive", "--format=tar", f"{commit}:{prefix.decode().strip()}")
    if tree is None:
        return False
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        archive.extractall(folder, filter="data")
    return True


def _git(root: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    except FileNotFoundError:  # there is no git here
        return None
    return done.stdout if done.returncode == 0 else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def other_packages(recorded: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Packages whose version is another than recorded, or that are not installed: then and now."""
    now = provenance.packages()
    return {name: (was, now.get(name, "")) for name, was in recorded.items() if now.get(name, "") != was}


def install(packages: Mapping[str, tuple[str, str]], folder: Path) -> None:
    """Put the recorded versions of some packages into a folder, which then comes first on the path.

    Raises
    ------
    RunError
        When pip cannot install them; with its last lines.
    """
    wanted = [f"{name}=={was}" for name, (was, _) in packages.items()]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    done = subprocess.run([*pip, "--target", str(folder), *wanted], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-3:]
        raise RunError(
            "the recorded packages cannot be installed: " + " ".join(said),
            value=wanted[:10],
            hint="Give pip a registry that has them, or leave out --environment to use what is installed.",
        )
