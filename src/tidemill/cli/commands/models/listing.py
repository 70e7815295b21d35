"""`tidemill models list|show|history`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import click

from tidemill.cli.commands.models.group import command, wanted_tags
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, moment, number, table
from tidemill.core.errors import NotFoundError
from tidemill.core.records import AuditEvent, ModelVersion, RegisteredModel
from tidemill.evaluation.promises import promise_of
from tidemill.registry import list_models, list_versions, resolve
from tidemill.registry.approval import approvals_of
from tidemill.registry.history import model_history
from tidemill.registry.names import check_name, parse_reference
from tidemill.store import models


@command.command(name="list", short_help="List versions and the aliases that point at them.")
@click.argument("model", required=False)
@click.option("--names", is_flag=True, help="List the models instead of their versions.")
@click.option("--stage", help="Only versions of this stage of life.")
@click.option("--owner", help="Only what this person owns.")
@click.option("--tag", "tags", multiple=True, metavar="NAME[=VALUE]", help="Only what has this tag.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
@click.option("--before", metavar="ID", help="Go on after the version with this id (with --names: after this name).")
@shared
def list_(
    setup: Setup,
    model: str | None,
    *,
    names: bool,
    stage: str | None,
    owner: str | None,
    tags: tuple[str, ...],
    limit: int,
    before: str | None,
) -> None:
    """List versions, newest first, with the aliases that point at them; of MODEL only, if it is given."""
    with setup.store() as store:
        pointing = list_models(store)
        if names:
            with store.metadata.reading() as tx:
                _models(
                    setup, models.search_models(tx, owner=owner, tags=wanted_tags(tags), limit=limit, after=before),
                    {name: [alias.alias for alias in aliases] for name, aliases in pointing.items()},
                )  # fmt: skip
            return
        found = list_versions(
            store, model, stage=stage, owner=owner, tags=wanted_tags(tags), limit=limit, before=before
        )  # fmt: skip
    if model is not None and model not in pointing:
        near = difflib.get_close_matches(model, pointing, n=1)
        meant = f"Did you mean {near[0]!r}? " if near else ""
        raise NotFoundError(
            "there is no model of this name", value=model, hint=f"{meant}Models: {', '.join(pointing) or 'none yet'}."
        )
    aliases: dict[tuple[str, int], list[str]] = {}
    for alias in (alias for several in pointing.values() for alias in several):
        aliases.setdefault((alias.model, alias.version), []).append(alias.alias)
    if setup.json:
        for version in found:
            emit({"version": version, "aliases": aliases.get((version.model, version.version), [])})
        emit({"status": "listed", "models": list(pointing), "versions": len(found)})
        return
    rows = [_row(version, aliases.get((version.model, version.version), [])) for version in found]
    headers = ["version", "aliases", "stage", "gate", "registered (UTC)", "owner", "run"]
    nothing = "no version is like that" if pointing else "no models yet"
    click.echo(table(headers, rows) if rows else nothing)
    if len(found) == limit:
        click.echo(f"\nfor more: --before {found[-1].id}")


def _models(setup: Setup, found: Iterable[RegisteredModel], pointing: Mapping[str, list[str]]) -> None:
    listed = list(found)
    if setup.json:
        for model in listed:
            emit({"model": model, "aliases": pointing.get(model.name, [])})
        emit({"status": "listed", "models": len(listed)})
        return
    rows = [
        (model.name, model.last_version, ", ".join(pointing.get(model.name, [])), model.owner, _tags(model.tags),
         model.description)
        for model in listed
    ]  # fmt: skip
    headers = ["model", "versions", "aliases", "owner", "tags", "description"]
    click.echo(table(headers, rows, right=["versions"]) if rows else "no models are like that")


def _row(version: ModelVersion, aliases: list[str]) -> tuple[object, ...]:
    stage = "" if version.stage == "registered" else version.stage
    return (
        f"{version.model}@{version.version}", ", ".join(aliases), stage, gate_word(version),
        moment(version.created_at), version.owner, version.run_id or "",
    )  # fmt: skip


def gate_word(version: ModelVersion) -> str:
    """What the gate said so far, in a word."""
    if "passed" not in version.gate:
        return "not run"
    if not version.gate.get("promises"):
        return "no requirements"
    return "passed" if version.gate["passed"] else "failed"


@command.command(name="show", short_help="Show one version of a model.")
@click.argument("reference")
@shared
def show(setup: Setup, reference: str) -> None:
    """Show one version: NAME@ALIAS, NAME@NUMBER, or NAME for its champion."""
    with setup.store() as store:
        version = resolve(store, reference)
        approvals = approvals_of(store, version)
        aliases = [alias.alias for alias in list_models(store)[version.model] if alias.version == version.version]
    if setup.json:
        given = [{"approval": approval, "stands": stands} for approval, stands in approvals]
        emit({"status": "found", "version": version, "aliases": aliases, "approvals": given})
        return
    click.echo(
        f"{version.model} version {version.version}, {moment(version.created_at)} UTC, run {version.run_id or '-'}"
    )
    about = {
        "stage": version.stage, "aliases": ", ".join(aliases), "owner": version.owner,
        "registered by": version.registered_by, "tags": _tags(version.tags), "description": version.description,
    }  # fmt: skip
    click.echo("\n".join(f"  {name}: {text}" for name, text in about.items() if text))
    metrics = [(name, f"{value:.6g}") for name, value in sorted(version.metrics.items())]
    click.echo("\n" + (table(["metric", "value"], metrics) if metrics else "no metrics were registered with it"))
    promises = version.gate.get("promises", ())
    if promises:
        lines = [f"  {promise_of(promise).sentence}" for promise in promises]
        click.echo("\n".join([f"\ngate: {gate_word(version)}", *lines]))
    if approvals:
        rows = [
            (one.actor, one.alias or "any", moment(one.at), one.note, "" if stands else "void: other numbers since")
            for one, stands in approvals
        ]
        click.echo("\n" + table(["approved by", "as", "at (UTC)", "note", ""], rows))


@command.command(name="history", short_help="Show what happened to a model or a version, newest first.")
@click.argument("reference")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1))
@click.option("--before", metavar="ID", help="Go on after the event with this id.")
@shared
def history(setup: Setup, reference: str, limit: int, before: str | None) -> None:
    """Show what was done to a model (NAME) or to one version (NAME@NUMBER, NAME@ALIAS), by whom, newest first."""
    wanted = parse_reference(reference) if "@" in reference else check_name(reference, "model")
    with setup.store() as store:
        events = model_history(store, wanted, limit=limit, before=before)
    if setup.json:
        for event in events:
            emit({"event": event})
        emit({"status": "listed", "events": len(events)})
        return
    rows = [
        (moment(event.at), event.actor, event.action.removeprefix("model."), event.subject.removeprefix("model:"),
         _story(event))
        for event in events
    ]  # fmt: skip
    click.echo(table(["at (UTC)", "who", "what", "which", ""], rows) if rows else "nothing has happened to it")
    if len(events) == limit:
        click.echo(f"\nfor more: --before {events[-1].id}")


def _story(event: AuditEvent) -> str:
    """What is worth saying of an event, in a line."""
    details = event.details
    parts: list[str] = []
    if "to" in details:
        parts.append(f"{details.get('from') or 'nothing'} -> {details['to']}")
    elif "from" in details:
        parts.append(f"was {details['from']}")
    if details.get("approvals"):
        parts.append(f"approved by {', '.join(details['approvals'])}")
    parts += [f"{name}: {details[name]}" for name in ("forced", "reason", "alias", "note", "run") if details.get(name)]
    if event.action == "model.edit":
        parts += [f"{name}: {_change(change)}" for name, change in details.items()]
    return "; ".join(parts)


def _change(change: Any) -> str:
    if isinstance(change, Mapping):
        return ", ".join(f"{name} {_change(pair)}" for name, pair in change.items())
    return " -> ".join(number(value) or "nothing" for value in change)


def _tags(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" if value else name for name, value in sorted(tags.items()))
