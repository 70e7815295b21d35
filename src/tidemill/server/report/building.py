"""The page of one run: its stages, then a section for every record that its steps produced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tidemill.core.clock import from_us
from tidemill.core.records import ModelVersion
from tidemill.data.availability import Leak
from tidemill.data.clean import CleaningReport
from tidemill.data.enrich import JoinReport
from tidemill.data.explore import Exploration
from tidemill.data.split import SplitSpec
from tidemill.data.validate import ValidationReport
from tidemill.evaluation import Evaluation, Examination
from tidemill.monitoring import DriftReport
from tidemill.server.report import charts, data_sections, model_sections, watch_sections
from tidemill.server.report.page import Section, figure, render, table, tag, write_page
from tidemill.server.summary import RunSummary, Stage
from tidemill.training import Study

#: Which section draws which record.
_DRAWN: dict[type, Callable[[Any], Section]] = {
    CleaningReport: data_sections.cleaning,
    DriftReport: watch_sections.drift,
    Evaluation: model_sections.evaluation,
    Examination: model_sections.examination,
    Exploration: data_sections.exploration,
    JoinReport: data_sections.join,
    ModelVersion: model_sections.version,
    SplitSpec: data_sections.split,
    Study: model_sections.study,
    ValidationReport: data_sections.validation,
}
#: What a run comes to: told first, in this order.
_OUTCOME = (ModelVersion, Examination)
#: Sections that say nothing of what they are about; their titles get the name of the source.
_NAMED_AFTER_SOURCE = (CleaningReport, DriftReport, Exploration, SplitSpec)
_TONES = {"succeeded": "good", "cached": "plain", "failed": "bad", "skipped": "warn", "cancelled": "warn"}


def write_report(summary: RunSummary, path: Path) -> Path:
    """Write the page of a run as one HTML file.

    Parameters
    ----------
    summary
        What `tidemill.server.summary.summarise` read.
    path
        The file; its folder is made.
    """
    sections = [_stages(summary), *in_order(sections_of(summary))]
    numbered = [Section(s.title, s.body, f"s{place}", s.summary) for place, s in enumerate(sections, start=1)]
    run = summary.run
    ended = "" if run.ended_at is None else f", {(run.ended_at - run.started_at) / 1e6:.1f} s"
    lead = f"Run {run.id}, {from_us(run.started_at):%Y-%m-%d %H:%M} UTC{ended}, on {run.host or 'this machine'}."
    return write_page(render(f"{run.project} · {run.pipeline}", lead, badges(summary), numbered), path)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A section with what it was drawn from: the node that made the record, and the record's class."""

    section: Section
    node: str
    kind: type


def sections_of(summary: RunSummary) -> list[Drawn]:
    """A section for each record, in the order of the run, each with a title of its own."""
    drawn = [item for node, name, value in summary.records for item in _draw(node, name, value)]
    titled = [replace(item, section=replace(item.section, title=_title(item, summary))) for item in drawn]
    count = Counter(item.section.title for item in titled)
    return [
        replace(item, section=replace(item.section, title=f"{item.section.title} ({item.node})"))
        if count[item.section.title] > 1
        else item
        for item in titled
    ]


def in_order(drawn: Sequence[Drawn]) -> list[Section]:
    """The outcome first, the rest as it happened."""
    outcome = [item for kind in _OUTCOME for item in drawn if item.kind is kind]
    return [item.section for item in (*outcome, *(item for item in drawn if item.kind not in _OUTCOME))]


def _draw(node: str, name: str, value: Any) -> Iterator[Drawn]:
    draw = _DRAWN.get(type(value))
    if draw is not None:
        yield Drawn(draw(value), node, type(value))
    elif isinstance(value, list):
        if value and all(isinstance(item, Leak) for item in value):
            yield Drawn(data_sections.leaks(value), node, Leak)
    else:
        title = node if name == "output" else f"{node}: {name}"
        yield Drawn(watch_sections.anything(value, title), node, type(value))


def _title(item: Drawn, summary: RunSummary) -> str:
    subject = summary.subjects.get(item.node)
    return f"{item.section.title} of {subject}" if subject and item.kind in _NAMED_AFTER_SOURCE else item.section.title


def badges(summary: RunSummary) -> list[tuple[str, str, str]]:
    """How it ended, in a few numbers: (label, value, tone)."""
    run = summary.run
    shown: list[tuple[str, str, str]] = [("status", run.status, "good" if run.status == "succeeded" else "bad")]
    test = summary.last(Examination)
    if test is not None:
        name, estimate = next(iter(test.evaluation.metrics.items()))
        shown.append((f"test {name}", "–" if estimate.value is None else f"{estimate.value:.4f}", "plain"))
    version = summary.last(ModelVersion)
    if version is not None:
        shown.append(("version", f"{version.model}@{version.version}", "plain"))
        passed = bool(version.gate.get("passed"))
        word, tone = ("passed", "good") if passed else ("not passed", "bad")
        shown.append(("gate", word, tone) if version.gate.get("promises") else ("gate", "not run", "warn"))
    drift = summary.last(DriftReport)
    if drift is not None:
        tone = "warn" if drift.drifted else "good"
        shown.append(("drifted columns", f"{len(drift.drifted)} of {len(drift.columns)}", tone))
    return shown


def _stages(summary: RunSummary) -> Section:
    labelled = any(stage.name != stage.node.partition("#")[0] for stage in summary.stages)
    rows = [_stage_row(stage, labelled=labelled) for stage in summary.stages]
    headers = ["", *(["stage"] if labelled else []), "step", "seconds", "rows in", "rows out", ""]
    bars = [{"step": s.node, "seconds": s.seconds} for s in summary.stages if s.seconds > 0]
    spec = charts.bars(bars, label="step", value="seconds", title="seconds")
    chart = figure(spec, "Where the time went") if bars else ""
    cached = sum(s.status == "cached" for s in summary.stages)
    text = f"{len(rows)} steps, {cached} of them taken from earlier runs since nothing had changed."
    return Section("Stages", table(headers, rows, numeric=["seconds", "rows in", "rows out"]) + chart, summary=text)


def _stage_row(stage: Stage, *, labelled: bool) -> tuple[object, ...]:
    mark = tag(stage.status, _TONES.get(stage.status, "warn"))
    error = stage.error.partition("\n")[0]
    seconds = None if stage.status == "cached" else stage.seconds
    return mark, *([stage.name] if labelled else []), stage.node, seconds, stage.rows_in, stage.rows_out, error
