"""`tidemill doctor`."""

from __future__ import annotations

import platform
import shutil
import sys
from typing import Any

import click

import tidemill
from tidemill.cli.extras import extras, missing
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, public, size, table
from tidemill.cli.pipelines import modules_of
from tidemill.core.errors import TidemillError, shorten
from tidemill.engine.finding import all_pipelines
from tidemill.project import SETTINGS, Project
from tidemill.store import migrations, open_store, runs
from tidemill.store.database import connect

_MIN_PYTHON = (3, 11)
_LOW_DISK = 2**30


@click.command(name="doctor")
@click.option("--settings", "show_settings", is_flag=True, help="Show each setting and where it came from.")
@shared
def command(setup: Setup, *, show_settings: bool) -> None:
    """Check the environment, the extras, the project and its store; say what to do about what is wrong."""
    checks = [*_environment(), *_project(setup)]
    lacking = {extra: missing(packages) for extra, packages in extras().items()}
    settings = _settings(setup) if show_settings else None
    if setup.json:
        for check in checks:
            emit({"check": check})
        payload: dict[str, Any] = {"status": "failed" if any(not c["ok"] for c in checks) else "succeeded"}
        emit({**payload, "extras": lacking, "settings": settings})
    else:
        _print(checks, lacking)
        if settings:
            rows = [(s["name"], s["value"], s["origin"]) for s in settings]
            click.echo("\n" + table(["setting", "value", "from"], rows))
    if any(not check["ok"] for check in checks):
        sys.exit(1)


def _print(checks: list[dict[str, Any]], lacking: dict[str, list[str]]) -> None:
    for check in checks:
        mark = click.style("✓", fg="green") if check["ok"] else click.style("✗", fg="red")
        click.echo(f"{mark} {check['name']:<10} {check['found']}")
        if check["hint"]:
            click.echo(f"  {check['hint']}")
    click.echo("\nextras")
    for name, packages in lacking.items():
        mark = click.style("·", fg="yellow") if packages else click.style("✓", fg="green")
        found = f'lacks {", ".join(packages)}: pip install "tidemill[{name}]"' if packages else "installed"
        click.echo(f"{mark} {name:<10} {found}")


def _check(name: str, found: object, *, ok: bool = True, hint: str = "") -> dict[str, Any]:
    return {"name": name, "found": str(found), "ok": ok, "hint": hint}


def _failed(name: str, error: TidemillError) -> dict[str, Any]:
    value = "" if error.value is None else f": {shorten(error.value)}"
    return _check(name, public(f"{error.what}{value}"), ok=False, hint=error.hint)


def _environment() -> list[dict[str, Any]]:
    python = platform.python_version()
    return [
        _check("tidemill", f"{tidemill.__version__} in {tidemill.__path__[0]}"),
        _check("python", f"{python} ({sys.executable})", ok=sys.version_info >= _MIN_PYTHON),
        _check(
            "platform",
            platform.platform(),
            ok=sys.platform in ("linux", "darwin"),
            hint="" if sys.platform in ("linux", "darwin") else "Linux and macOS are supported; Windows is not (fork).",
        ),
    ]


def _project(setup: Setup) -> list[dict[str, Any]]:
    try:
        project = setup.project()
    except TidemillError as error:
        return [_failed("project", error)]
    where = project.file or f"{project.root} (no tidemill.toml: defaults)"
    return [_check("project", f"{project.name} at {where}"), _modules(project), _store(project), _disk(project)]


def _modules(project: Project) -> dict[str, Any]:
    try:
        names = sorted(all_pipelines(modules_of(project)))
    except TidemillError as error:
        return _failed("modules", error)
    return _check("pipelines", ", ".join(names) or "none yet")


def _store(project: Project) -> dict[str, Any]:
    try:
        if not connect(project.store).exists():
            return _check("store", "none yet; the first run makes one")
        with open_store(project.store, project.artifacts, create=False) as store, store.metadata.reading() as tx:
            newest = runs.list_runs(tx, limit=1, trials=False)
            last = f"last run {newest[0].id} {newest[0].status}" if newest else "no runs"
            return _check("store", f"{store.metadata.url}, version {migrations.version(tx)}, {last}")
    except TidemillError as error:
        return _failed("store", error)


def _disk(project: Project) -> dict[str, Any]:
    free = shutil.disk_usage(project.root).free
    low = free < _LOW_DISK
    return _check("disk", f"{size(free)} free", ok=not low, hint="Free some space: tidemill gc" if low else "")


def _settings(setup: Setup) -> list[dict[str, Any]] | None:
    try:
        project = setup.project()
    except TidemillError:  # it is among the checks
        return None
    return [
        {"name": name, "value": setting.value, "origin": setting.origin, "meaning": SETTINGS[name].meaning}
        for name, setting in project.settings.items()
    ]
