"""The page of one run: its stages, then a section for every record that its steps produced."""

from __future__ import annotations

from collections.abc import Callable
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
from tidemill.server.report.page import Section, figure, render, table, tag
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
    sections = [_stages(summary), *_sections(summary)]
    numbered = [Section(s.title, s.body, f"s{place}", s.summary) for place, s in enumerate(sections, start=1)]
    run = summary.run
    ended = "" if run.ended_at is None else f", {(run.ended_at - run.started_at) / 1e6:.1f} s"
    lead = f"Run {run.id}, {from_us(run.started_at):%Y-%m-%d %H:%M} UTC{ended}, on {run.host or 'this machine'}."
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(f"{run.project} · {run.pipeline}", lead, _badges(summary), numbered), encoding="utf-8")
    return path


def _sections(summary: RunSummary) -> list[Section]:
    out = []
    for node, name, value in summary.records:
        draw = _DRAWN.get(type(value))
        if draw is not None:
            out.append(draw(value))
        elif isinstance(value, list) and value and all(isinstance(item, Leak) for item in value):
            out.append(data_sections.leaks(value))
        elif not isinstance(value, list):
            out.append(watch_sections.anything(value, node if name == "output" else f"{node}: {name}"))
    return out


def _badges(summary: RunSummary) -> list[tuple[str, str, str]]:
    run = summary.run
    badges = [("status", run.status, "good" if run.status == "succeeded" else "bad")]
    test = summary.last(Examination)
    if test is not None:
        name, estimate = next(iter(test.evaluation.metrics.items()))
        badges.append((f"test {name}", "–" if estimate.value is None else f"{estimate.value:.4f}", "plain"))
    version = summary.last(ModelVersion)
    if version is not None:
        badges.append(("version", f"{version.model}@{version.version}", "plain"))
        passed = bool(version.gate.get("passed"))
        badges.append(("gate", "passed" if passed else "not passed", "good" if passed else "bad"))
    drift = summary.last(DriftReport)
    if drift is not None:
        tone = "warn" if drift.drifted else "good"
        badges.append(("drifted columns", f"{len(drift.drifted)} of {len(drift.columns)}", tone))
    return badges


def _stages(summary: RunSummary) -> Section:
    rows = [_stage_row(stage) for stage in summary.stages]
    headers = ["", "stage", "step", "seconds", "rows in", "rows out", ""]
    bars = [{"step": s.node, "seconds": s.seconds} for s in summary.stages if s.seconds > 0]
    spec = charts.bars(bars, label="step", value="seconds", title="seconds")
    chart = figure(spec, "Where the time went") if bars else ""
    cached = sum(s.status == "cached" for s in summary.stages)
    text = f"{len(rows)} steps, {cached} of them taken from earlier runs since nothing had changed."
    return Section("Stages", table(headers, rows, numeric=["seconds", "rows in", "rows out"]) + chart, summary=text)


def _stage_row(stage: Stage) -> tuple[object, ...]:
    mark = tag(stage.status, _TONES.get(stage.status, "warn"))
    error = stage.error.partition("\n")[0]
    return mark, stage.name, stage.node, stage.seconds, stage.rows_in, stage.rows_out, error
