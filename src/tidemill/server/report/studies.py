"""A tuning study as a page of one file, and as a box in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tidemill.server.report import charts, study_charts
from tidemill.server.report.notebook import boxed
from tidemill.server.report.page import Section, figure, render, row, table, tag, write_page
from tidemill.server.report.small_charts import said
from tidemill.training import Study, Trial

_ROWS, _ROWS_IN_A_BOX = 500, 10
_TONES = {"complete": "good", "pruned": "warn", "failed": "bad"}
_ENDED = {
    "trials": "all trials were made",
    "timeout": "the time was used",
    "grid": "every point of the grid was tried",
    "interrupted": "it was stopped",
}


def write_study(study: Study, path: Path) -> Path:
    """Write a study as one HTML file, whose folder is made."""
    return write_page(study_page(study), path)


def study_page(study: Study) -> str:
    """The page as text."""
    name = f"{study.name}#{study.number}" if study.number else study.name
    lead = f"{len(study.trials)} trials for {study.metric} with {study.sampler}; {_ENDED[study.ended]}."
    sections = [
        Section(section.title, section.body, f"s{place}", section.summary)
        for place, section in enumerate(_sections(study), start=1)
    ]
    return render(f"Study {name}", lead, _badges(study), sections)


def notebook(study: Study) -> str:
    """The best, the history, and the best trials, as a box of HTML."""
    reached = f"{len(study.trials)} trials: {said(study.metric)} {study.value:.4g}"
    head = f"<p><strong>{said(study.name)}</strong>, {reached}</p>"
    best = table(["parameter", "best"], [(name, value) for name, value in study.best.items()], numeric=["best"])
    return boxed(head + row(_history(study), best) + _trials(study_charts.complete(study)[:_ROWS_IN_A_BOX], study))


def _badges(study: Study) -> list[tuple[str, str, str]]:
    badges = [(f"best {study.metric}", f"{study.value:.4g}", "plain")]
    if study.outer is not None and study.outer.value is not None:
        badges.append(("on rows it never saw", f"{study.outer.value:.4g}", "good"))
    for state, tone in _TONES.items():
        count = sum(trial.state == state for trial in study.trials)
        if count:
            badges.append((state, f"{count:,}", tone if state != "complete" else "plain"))
    return badges


def _sections(study: Study) -> Iterator[Section]:
    best = table(["parameter", "best", "where"], _best(study), numeric=["best"])
    yield Section("The best", row(_history(study), best), summary=_honest(study))
    if len(study.front) > 1:
        body = figure(study_charts.front(study), "Every trial; those that no other beats are amber")
        yield Section("The front", body + _trials([study.trial(number) for number in study.front], study))
    if study.importance:
        rows = [{"parameter": name, "share": share} for name, share in study.importance.items()]
        chart = charts.bars(rows, label="parameter", value="share", title="share of the trials' variance")
        yield Section("Importance", figure(chart, "How much of what the trials differ in each parameter explains"))
    lines = study_charts.parallel(study)
    if lines is not None:
        yield Section("Together", figure(lines, "Each trial through its parameters to its value; the best is amber"))
    parts = [figure(spec, f"{name}; later trials are darker") for name, spec in study_charts.slices(study)]
    if parts:
        yield Section("One by one", "".join(row(*parts[place : place + 3]) for place in range(0, len(parts), 3)))
    if any(trial.reported for trial in study.trials):
        caption = "What trials reported on their way; pruned ones are amber"
        yield Section("On the way", figure(study_charts.reported(study), caption))
    shown = study.trials[:_ROWS]
    few = f"The first {_ROWS} of {len(study.trials):,}." if len(study.trials) > _ROWS else ""
    yield Section("Trials", _trials(shown, study), summary=few)
    if study.notes:
        yield Section("Notes", f"<ul>{''.join(f'<li>{said(note, 400)}</li>' for note in study.notes)}</ul>")


def _history(study: Study) -> str:
    return figure(study_charts.history(study), "Each trial, and the best so far")


def _best(study: Study) -> list[tuple[str, object, str]]:
    return [(name, value, study.space.get(name, "in a conditional part")) for name, value in study.best.items()]


def _honest(study: Study) -> str:
    if study.outer is None or study.outer.value is None:
        return "The best of many trials looks better than it is; an independent test says how good."
    low, high = study.outer.low, study.outer.high
    return (
        f"The best reached {study.value:.4g} on the rows that it was chosen by. The whole search, repeated, "
        f"reached {study.outer.value:.4g} [{low:.4g}, {high:.4g}] on rows that it never saw: expect that."
    )


def _trials(trials: list[Trial] | tuple[Trial, ...], study: Study) -> str:
    names = study_charts.varied(study)
    metrics = list(study.metrics) or [study.metric]
    rows = [
        (
            trial.number,
            tag(trial.state, _TONES[trial.state] if trial.state != "complete" else "plain"),
            *[trial.values.get(metric) for metric in metrics],
            trial.seconds,
            *[trial.params.get(name) for name in names],
            trial.error,
        )
        for trial in trials
    ]
    headers = ["trial", "", *metrics, "seconds", *names, " "]
    return table(headers, rows, numeric=["trial", *metrics, "seconds", *names])
