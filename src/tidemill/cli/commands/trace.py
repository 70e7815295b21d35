"""`tidemill trace ID`."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, jsonable, moment
from tidemill.core.errors import NotFoundError
from tidemill.project import Project, use_project
from tidemill.registry import list_models, list_versions
from tidemill.store import Store
from tidemill.tracking import trace
from tidemill.tracking.tracing import TraceNode, render

#: What is said of a step, the most telling first: the end of a long line is cut.
_OF_STEPS = ("status", "run", "commit", "started_at", "arguments")
_WIDTH = 120


@click.command(name="trace")
@click.argument("identifier", metavar="ID")
@click.option("--down", is_flag=True, help="Show what came of it instead of what it came from.")
@click.option("--full", is_flag=True, help="Show every detail of every thing, in lines as long as it takes.")
@shared
def command(setup: Setup, identifier: str, *, down: bool, full: bool) -> None:
    """Walk from ID back to the bytes and the commit it came from.

    ID is a prediction's request id, a model version (NAME@ALIAS), a run, a step's execution, an artifact or a digest.
    """
    project = setup.project()
    with use_project(project), setup.store() as store:
        prediction = None
        try:
            root = trace(identifier, direction="downstream" if down else "upstream", store=store)
        except NotFoundError:
            prediction = _prediction(project, identifier)
            if prediction is not None:
                subject = f"{prediction['model']}@{prediction['version']}"
            elif identifier in list_models(store):
                subject = _version(store, identifier)
            else:
                raise
            root = trace(subject, direction="downstream" if down else "upstream", store=store)
    if setup.json:
        emit({"status": "found", "prediction": prediction, **root.to_dict()})
        return
    if prediction is not None:
        click.echo(f"prediction {prediction['request_id']}  {prediction['ts']}  {prediction['prediction']}")
        given = {k.removeprefix("features."): v for k, v in prediction.items() if k.startswith("features.")}
        click.echo(f"  asked with {jsonable(given)}")
    click.echo(render(root) if full else "\n".join(_clipped(line) for line in render(_brief(root)).splitlines()))


def _brief(root: TraceNode) -> TraceNode:
    """The lineage with what a line has room for: whose work, when, from which commit, and with what."""
    known: dict[str, TraceNode] = {}

    def brief(node: TraceNode) -> TraceNode:
        if node.id not in known:
            known[node.id] = replace(node, details=_told(node), links=tuple(brief(link) for link in node.links))
        return known[node.id]

    return brief(root)


def _told(node: TraceNode) -> dict[str, Any]:
    names = {"execution": _OF_STEPS, "artifact": ("type", "rows", "digest")}.get(node.kind)
    told = {name: node.details[name] for name in names or node.details if name in node.details}
    for name in ("started_at", "created_at"):
        if isinstance(told.get(name), int):
            told[name] = moment(told[name]).replace(" ", "T")
    read = _read(told.get("arguments", {}))
    if read:
        told = {"source": read, **told}
    return {name: value for name, value in told.items() if (name, value) != ("status", "succeeded")}


def _read(arguments: dict[str, Any]) -> str:
    """What a step that reads a source was pinned to: the place, and the beginning of the digest of its bytes."""
    pinned = arguments.get("source")
    if not isinstance(pinned, dict) or not isinstance(pinned.get("source"), dict):
        return ""
    digests = [str(file.get("digest", ""))[:12] for file in pinned.get("files", ()) if isinstance(file, dict)]
    more = f" and {len(digests) - 1} more" if len(digests) > 1 else ""
    return f"{pinned['source'].get('uri')}#{digests[0]}{more}" if digests else str(pinned["source"].get("uri"))


def _clipped(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _version(store: Store, model: str) -> str:
    """The champion of a model, or its newest version while it has none."""
    has_champion = any(alias.alias == "champion" for alias in list_models(store)[model])
    return f"{model}@{'champion' if has_champion else list_versions(store, model, limit=1)[0].version}"


def _prediction(project: Project, request_id: str) -> dict[str, object] | None:
    """The logged answer of this request id, if there is one."""
    folder = Path(importlib.import_module("tidemill.serving.options").server_options(project).log)
    if not folder.is_dir() and not project.serving.get("archive"):
        return None
    polars = importlib.import_module("polars")  # a trace that finds its id in the store needs no table library
    reading = importlib.import_module("tidemill.serving.log.reading")
    rows = reading.scan_log(folder).frame.filter(polars.col("request_id") == request_id).head(1).collect().to_dicts()
    return rows[0] if rows else None
