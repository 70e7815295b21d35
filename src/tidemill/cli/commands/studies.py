"""`tidemill studies list|show`."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import duration, emit, moment, relative, size, table
from tidemill.core.errors import NotFoundError, UsageError
from tidemill.training.tuning.reading import list_studies, read_study
from tidemill.training.tuning.records import Study, Trial

_PAGES = (".html", ".htm")


@click.group(name="studies", help="List and show the studies of tuning.")
def command() -> None:
    """Hold the subcommands."""


@command.command(name="list", short_help="List studies, newest first.")
@click.argument("name", required=False)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most this many.")
@shared
def list_(setup: Setup, name: str | None, limit: int) -> None:
    """List studies, newest first; those called NAME only, if it is given."""
    project = setup.project().name
    with setup.store() as store:
        found = list_studies(store, project, name, limit=limit)
        if name is not None and not found:
            known = ", ".join(dict.fromkeys(entry.name for entry in list_studies(store, project, limit=50)))
            hint = f"Studies: {known or 'none yet'}."
            raise NotFoundError("there is no study of this name", value=name, hint=hint)
    if setup.json:
        for entry in found:
            emit({"study": entry})
        emit({"status": "listed", "studies": len(found)})
        return
    rows = [
        (
            f"{entry.name}#{entry.number}",
            entry.status,
            f"{entry.trials}/{entry.budget}",
            entry.metric,
            "" if entry.value is None else f"{entry.value:.6g}",
            moment(entry.began_at),
            entry.run_id,
        )
        for entry in found
    ]
    headers = ["study", "status", "trials", "metric", "best", "began (UTC)", "run"]
    click.echo(table(headers, rows, right=["trials", "best"]) if rows else "no studies yet: tune in a run, or by name")


@command.command(name="show", short_help="Show a study: its best trial, what mattered, and every trial.")
@click.argument("name")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with charts.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="At most this many trials.")
@shared
def show(setup: Setup, name: str, html: Path | None, limit: int) -> None:
    """Show a study, finished or not: NAME for the last of that name, or NAME#NUMBER."""
    if html is not None and html.suffix.lower() not in _PAGES:
        raise UsageError("a page ends in .html", value=str(html), hint="Choose another --html.")
    with setup.store() as store:
        study = read_study(store, setup.project().name, name)
    if html is not None:
        page = importlib.import_module("tidemill.server.report.studies")  # charts, only when they are wanted
        page.write_study(study, html)
    if setup.json:
        for trial in study.trials:
            emit({"trial": trial})
        summary = {name: value for name, value in study.to_dict().items() if name != "trials"}
        emit({"status": "found", "study": summary, "trials": len(study.trials), "html": html and str(html)})
        return
    click.echo(_screen(study, limit))
    if html is not None:
        click.echo(f"\nwrote {relative(html)} ({size(html.stat().st_size)})")


def _screen(study: Study, limit: int) -> str:
    counts = {state: sum(trial.state == state for trial in study.trials) for state in ("complete", "pruned", "failed")}
    counted = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    took = duration(sum(trial.seconds for trial in study.trials))
    head = f"{study.name}#{study.number}: best {study.metric} {study.value:.6g}"
    if study.outer is not None and study.outer.value is not None:
        head += f"; {study.outer.value:.4g} [{study.outer.low:.4g}, {study.outer.high:.4g}] on rows it never saw"
    lines = [
        f"{head}; {counted}; {took} of trials; {study.sampler}",
        "",
        table(
            ["parameter", "best", "importance", "where"],
            [(name, _short(value), _share(study, name), study.space.get(name)) for name, value in study.best.items()],
            right=["best", "importance"],
        ),
        "",
        *_of_the_trials(study, limit),
        *[f"note: {note}" for note in study.notes],
    ]
    return "\n".join(lines).rstrip()


def _of_the_trials(study: Study, limit: int) -> list[str]:
    ranked = sorted(study.trials, key=lambda trial: _rank(trial, study))
    names = [name for name in study.best if len({repr(trial.params.get(name)) for trial in study.trials}) > 1]
    metrics = list(study.metrics)
    rows = [
        (
            trial.number,
            trial.state,
            *[f"{trial.values[metric]:.6g}" if metric in trial.values else "" for metric in metrics],
            duration(trial.seconds),
            *[_short(trial.params.get(name, "")) for name in names],
            "front" if trial.number in study.front else trial.error,
        )
        for trial in ranked[:limit]
    ]
    headers = ["trial", "state", *metrics, "took", *names, " "]
    shown = [table(headers, rows, right=["trial", *metrics, "took", *names]), ""]
    rest = len(study.trials) - limit
    return [*shown, f"and {rest} more: --limit {len(study.trials)}, or --html study.html", ""] if rest > 0 else shown


def _rank(trial: Trial, study: Study) -> tuple[bool, float, int]:
    value = 0.0 if trial.value is None else trial.value
    return trial.value is None, -value if study.greater_is_better else value, trial.number


def _share(study: Study, name: str) -> str:
    return f"{study.importance[name]:.0%}" if name in study.importance else ""


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
