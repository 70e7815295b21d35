"""`tidemill models list|show|promote|rollback`."""

from __future__ import annotations

import click

from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, moment, table
from tidemill.core.errors import NotFoundError
from tidemill.core.records import ModelVersion
from tidemill.design import requirements_of
from tidemill.evaluation.promises import promise_of
from tidemill.registry import list_models, list_versions, promote_version, resolve, roll_back
from tidemill.registry.gates import examined
from tidemill.registry.names import parse_reference


@click.group(name="models", help="List, show, promote and roll back model versions.")
def command() -> None:
    """Hold the subcommands."""


@command.command(name="list", short_help="List versions and the aliases that point at them.")
@click.argument("model", required=False)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
@shared
def list_(setup: Setup, model: str | None, limit: int) -> None:
    """List versions, newest first, with the aliases that point at them; of MODEL only, if it is given."""
    with setup.store() as store:
        names = list_models(store)
        found = list_versions(store, model, limit=limit)
    pointing: dict[tuple[str, int], list[str]] = {}
    for aliases in names.values():
        for alias in aliases:
            pointing.setdefault((alias.model, alias.version), []).append(alias.alias)
    if model is not None and model not in names:
        known = ", ".join(names) or "none yet"
        raise NotFoundError("there is no model of this name", value=model, hint=f"Models: {known}.")
    if setup.json:
        for version in found:
            emit({"version": version, "aliases": pointing.get((version.model, version.version), [])})
        emit({"status": "listed", "models": list(names), "versions": len(found)})
        return
    rows = [
        (
            f"{version.model}@{version.version}",
            ", ".join(pointing.get((version.model, version.version), [])),
            gate_word(version),
            moment(version.created_at),
            version.run_id or "",
        )
        for version in found
    ]
    click.echo(table(["version", "aliases", "gate", "registered (UTC)", "run"], rows) if rows else "no models yet")


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
    if setup.json:
        emit({"status": "found", "version": version})
        return
    click.echo(
        f"{version.model} version {version.version}, {moment(version.created_at)} UTC, run {version.run_id or '-'}"
    )
    click.echo(
        "\n" + table(["metric", "value"], [(name, f"{value:.6g}") for name, value in sorted(version.metrics.items())])
    )
    promises = version.gate.get("promises", ())
    if promises:
        lines = [f"  {promise_of(promise).sentence}" for promise in promises]
        click.echo("\n".join([f"\ngate: {gate_word(version)}", *lines]))


@command.command(name="promote", short_help="Point an alias at a version that passed the gate.")
@click.argument("reference")
@click.option("--alias", default="champion", show_default=True)
@click.option("--approved-by", metavar="NAME", help="Who agreed, for the audit.")
@click.option("--force", metavar="REASON", help="Promote although the gate did not pass; the reason is written down.")
@shared
def promote(setup: Setup, reference: str, alias: str, approved_by: str | None, force: str | None) -> None:
    """Point an alias at REFERENCE (NAME@NUMBER) if it has passed the gate; if not, exit with 6 and the numbers."""
    requirements = requirements_of(setup.project().requirements)
    with setup.store() as store:
        wanted = parse_reference(reference, default="latest")
        moved = promote_version(store, wanted, alias, requirements=requirements, approved_by=approved_by, force=force)
        gate = resolve(store, f"{moved.model}@{moved.version}").gate
    if not setup.json:
        kept = [promise.sentence for promise in examined(gate, requirements).promises]
        click.echo("\n".join(kept) or "no requirement is checked before promotion: declare some in tidemill.toml")
    _moved(setup, moved.model, moved.alias, moved.version)


@command.command(name="rollback", short_help="Point an alias back at the version before.")
@click.argument("model")
@click.option("--alias", default="champion", show_default=True)
@click.option("--reason", default="", help="Why, for the audit.")
@shared
def rollback(setup: Setup, model: str, alias: str, reason: str) -> None:
    """Point the alias of MODEL back at the version before the last promotion."""
    with setup.store() as store:
        moved = roll_back(store, model, alias, reason=reason)
    _moved(setup, moved.model, moved.alias, moved.version)


def _moved(setup: Setup, model: str, alias: str, version: int) -> None:
    if setup.json:
        emit({"status": "succeeded", "model": model, "alias": alias, "version": version})
    else:
        click.echo(f"{model}@{alias} is version {version}")
