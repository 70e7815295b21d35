"""What is said at the end of a run of the whole life of a model: stages, gate, findings, and where to look."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from tidemill.cli.output import duration, relative, table
from tidemill.core.records import Alias, ModelVersion
from tidemill.data.availability import Leak
from tidemill.data.explore import Exploration
from tidemill.engine import RunResult
from tidemill.evaluation import Evaluation, Examination
from tidemill.evaluation.promises import promise_of
from tidemill.measures.intervals import Estimate
from tidemill.monitoring import DriftReport
from tidemill.project import current_project, open_project_store
from tidemill.server.report import write_report
from tidemill.server.summary import RunSummary, summarise

#: Columns whose importance is told.
_COLUMNS = 15


def conclude(result: RunResult, path: Path) -> dict[str, Any]:
    """Read a finished run back from the current project's store, write its report, and return the summary."""
    store = open_project_store(current_project())
    summary = summarise(store, result.id, {step.node: step.stage for step in result.steps})
    write_report(summary, path)
    version = summary.last(ModelVersion)
    drift = summary.last(DriftReport)
    return {
        "status": result.status,
        "run": result.id,
        "seconds": round(result.seconds, 3),
        "model": None if version is None else version.model,
        "version": None if version is None else version.version,
        "aliases": [alias.alias for alias in summary.records_of(Alias)],
        "metrics": _metrics(summary),
        "importance": _important(summary),
        "baselines": _baselines(summary),
        "gate": None if version is None else _gate(version),
        "stages": [
            {
                "name": stage.name,
                "step": stage.node,
                "status": stage.status,
                "seconds": round(stage.seconds, 3),
                "rows_in": stage.rows_in,
                "rows_out": stage.rows_out,
            }
            for stage in summary.stages
        ],
        "leaks": [_leak(leak) for leak in _leaks(summary)],
        "errors_found": _errors(summary),
        "records": _own(summary),
        "drifted": [] if drift is None else list(drift.drifted),
        "report": str(path),
    }


def _metrics(summary: RunSummary) -> dict[str, dict[str, float | None]]:
    out: dict[str, dict[str, float | None]] = {}
    reports: list[Evaluation | Examination] = [*summary.records_of(Evaluation), *summary.records_of(Examination)]
    for report in reports:
        metrics: dict[str, Estimate] = dict(report.metrics)
        out[report.moment] = {name: estimate.value for name, estimate in metrics.items()}
    return out


def _evaluations(summary: RunSummary) -> list[Evaluation]:
    """The evaluations of a run, and those inside its examinations."""
    return [*summary.records_of(Evaluation), *(found.evaluation for found in summary.records_of(Examination))]


def _important(summary: RunSummary) -> dict[str, dict[str, float | None]]:
    """By moment the columns that matter most: what each adds to the answers, or costs when it is shuffled."""
    out: dict[str, dict[str, float | None]] = {}
    for report in _evaluations(summary):
        told: dict[str, float | None] = {one.column: one.drop for one in report.importance}
        if report.contributions is not None:
            told = {one.column: one.size.value for one in report.contributions.columns}
        if told:
            out[report.moment] = dict(list(told.items())[:_COLUMNS])
    return out


def _baselines(summary: RunSummary) -> list[dict[str, Any]]:
    """The model beside each baseline on the same rows, with the interval of the difference."""
    return [
        {
            "moment": report.moment,
            "baseline": entry.other,
            "metric": entry.metric,
            "value": entry.other_value,
            "difference": entry.difference.value,
            "low": entry.difference.low,
            "high": entry.difference.high,
            "better": entry.better,
            "verdict": entry.verdict,
        }
        for report in _evaluations(summary)
        for entry in report.comparisons
        if entry.kind == "baseline" and not entry.by
    ]


def _gate(version: ModelVersion) -> dict[str, Any]:
    kept = ("name", "statement", "moment", "bound", "value", "status", "margin")
    promises = [
        {**{key: promise.get(key) for key in kept}, "sentence": promise_of(promise).sentence}
        for promise in version.gate.get("promises", ())
    ]
    return {"passed": bool(version.gate.get("passed")), "promises": promises}


def _leaks(summary: RunSummary) -> list[Leak]:
    lists = [value for _, _, value in summary.records if isinstance(value, list)]
    return [leak for found in lists for leak in found if isinstance(leak, Leak)]


def _leak(leak: Leak) -> dict[str, Any]:
    return {"column": leak.column, "known_at": leak.available_at, "late": leak.late, "auc_alone": leak.auc}


def _errors(summary: RunSummary) -> list[dict[str, Any]]:
    return [
        {
            "kind": finding.kind,
            "column": finding.column,
            "severity": finding.severity,
            "rows": finding.count,
            "examples": list(finding.examples[:3]),
            "explanation": finding.explanation,
        }
        for exploration in summary.records_of(Exploration)
        for finding in exploration.findings
        if finding.severity != "note"
    ]


def screen(shown: dict[str, Any]) -> str:
    """The summary on one screen."""
    rows = [
        (
            stage["name"],
            stage["status"],
            "" if stage["status"] == "cached" else duration(stage["seconds"]),
            _count(stage["rows_in"]),
            _count(stage["rows_out"]),
        )
        for stage in shown["stages"]
    ]
    right = ["seconds", "rows in", "rows out"]
    parts = [table(["stage", "", *right], rows, right=right), ""]
    graves = [error for error in shown["errors_found"] if error["severity"] == "error"]
    parts += [f"found    {error['column']}: {error['explanation']}" for error in graves]
    parts += [f"leak     {leak['column']}, known only at {leak['known_at']}{_alone(leak)}" for leak in shown["leaks"]]
    parts += [f"{moment:<8} " + ", ".join(_some(metrics)) for moment, metrics in shown["metrics"].items()]
    for moment, columns in list(shown["importance"].items())[:1]:
        parts.append(f"relies   most of all on {', '.join(list(columns)[:4])} (at {moment})")
    parts += [f"baseline {_beside(entry)}" for entry in shown["baselines"]]
    if shown["gate"] is not None:
        word = "passed" if shown["gate"]["passed"] else "did not pass"
        parts.append(f"gate     {word}: " + "; ".join(_promise(promise) for promise in shown["gate"]["promises"]))
        names = "".join(f", {shown['model']}@{alias}" for alias in shown["aliases"])
        parts.append(f"model    {shown['model']} version {shown['version']}{names}")
    for record in shown["records"]:
        told = ", ".join(f"{_words(k)} {_number(v)}" for k, v in record.items() if k != "step")
        parts.append(f"{record['step']:<8} {told}")
    if shown["drifted"]:
        parts.append(f"drift    {len(shown['drifted'])} columns, most of all {', '.join(shown['drifted'][:4])}")
    folder = Path(shown["report"]).parent
    parts.append(f"\nlook at  {relative(Path(shown['report']))}")
    here = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(relative(folder))} && "
    parts.append(f"next     {here}{_command(folder)} serve {shown['model'] or 'MODEL'}")
    return "\n".join(parts)


def _command(folder: Path) -> str:
    """How to call Tidemill from a folder: by name where the shell finds it."""
    beside = Path(sys.executable).with_name("tidemill")
    if shutil.which("tidemill") or not beside.exists():
        return "tidemill"
    return shlex.quote(os.path.relpath(beside, folder))


def _own(summary: RunSummary) -> list[dict[str, Any]]:
    """What the project's own records say, each in its plain fields."""
    out = []
    for node, _, value in summary.records:
        if not is_dataclass(value) or type(value).__module__.startswith("tidemill."):
            continue
        told: dict[str, Any] = {"step": node}
        for field in fields(value):
            found = getattr(value, field.name)
            if isinstance(found, str | int | float | bool):
                told[field.name] = found
        out.append(told)
    return out


def _count(rows: int | None) -> str:
    return "" if rows is None else f"{rows:,}"


def _alone(leak: dict[str, Any]) -> str:
    return "" if leak["auc_alone"] is None else f"; alone it would reach AUC {leak['auc_alone']:.2f}"


def _some(metrics: dict[str, float | None]) -> list[str]:
    return [f"{name} {value:.4f}" for name, value in list(metrics.items())[:3] if value is not None]


def _beside(entry: dict[str, Any]) -> str:
    """One baseline in words: what it reaches, and by how much the model differs from it."""
    known = [entry[key] for key in ("value", "difference", "low", "high")]
    if None in known:
        return f"{entry['baseline']} at {entry['moment']}: {entry['metric']} not comparable"
    value, difference, low, high = known
    return (
        f"{entry['baseline']} at {entry['moment']}: {entry['metric']} {value:.4f}, the model {difference:+.4f} "
        f"[{low:+.4f}, {high:+.4f}], {entry['verdict']}"
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _promise(promise: dict[str, Any]) -> str:
    """A broken promise in full, one that holds in short."""
    if promise["status"] != "passed":
        return str(promise["sentence"])
    return f"{promise['bound']} at {promise['moment']}: {promise['value']:.4g}"
