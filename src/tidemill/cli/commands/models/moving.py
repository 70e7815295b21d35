"""`tidemill models promote|rollback|unalias|approve`."""

from __future__ import annotations

from difflib import get_close_matches

import click

from tidemill.cli.commands.models.group import command, requirements, rules, said, tell
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, number, table
from tidemill.core.errors import UsageError
from tidemill.core.records import Approval
from tidemill.evaluation.promises import GateResult
from tidemill.registry import list_models, promote_version, resolve, roll_back
from tidemill.registry.approval import approve_version, withdraw_approval
from tidemill.registry.gates import examined
from tidemill.registry.names import parse_reference
from tidemill.registry.promotion import Promotion, plan_promotion, remove_alias


@command.command(name="promote", short_help="Point an alias at a version that passed the gate.")
@click.argument("reference")
@click.option("--alias", "--as", "alias", default="champion", show_default=True)
@click.option("--approved-by", metavar="NAME", help="Who agreed in words, for the audit.")
@click.option("--force", metavar="REASON", help="Promote although the gate did not pass; the reason is written down.")
@click.option("--dry-run", is_flag=True, help="Show the gate and what would move; change nothing.")
@shared
def promote(
    setup: Setup, reference: str, *, alias: str, approved_by: str | None, force: str | None, dry_run: bool
) -> None:
    """Point an alias at REFERENCE (NAME@NUMBER) if it has passed the gate; if not, exit with 6 and the numbers."""
    promised, asked = requirements(setup), rules(setup)
    wanted = parse_reference(reference, default="latest")
    with setup.store() as store:
        known = {"champion", *(each.alias for each in list_models(store).get(wanted.model, ()))}
        if dry_run:
            _show_plan(setup, plan_promotion(store, wanted, alias, requirements=promised, rules=asked))
            return
        moved = promote_version(
            store, wanted, alias, requirements=promised, rules=asked, approved_by=approved_by, force=force
        )
        gate = resolve(store, f"{moved.model}@{moved.version}").gate
        tell(setup, store, asked)
    if not setup.json:
        kept = [promise.sentence for promise in examined(gate, promised).promises]
        click.echo("\n".join(kept) or "no requirement is checked before promotion: declare some in tidemill.toml")
    _moved(setup, moved.model, moved.alias, moved.version)
    near = [] if alias in known else get_close_matches(alias, known, n=1, cutoff=0.8)
    if near and not setup.json:
        click.echo(f"if you meant {near[0]}: tidemill models unalias {moved.model}@{alias}, and promote again")


def _show_plan(setup: Setup, plan: Promotion) -> None:
    """What a promotion would do; that it may not is what was asked, and no error."""
    found = plan.version
    name, number_now = f"{found.model}@{plan.alias}", plan.current
    may = not plan.obstacles and not found.archived
    if setup.json:
        emit({
            "status": "planned", "may": may, "model": found.model, "alias": plan.alias, "from": number_now,
            "to": found.version, "archived": found.archived, "promises": plan.gate.promises, "needed": plan.needed,
            "approvals": plan.approvals, "obstacles": plan.obstacles,
        })  # fmt: skip
        return
    if plan.gate.promises:
        click.echo(gate_table(plan.gate))
    else:
        click.echo("no requirement is checked before promotion: declare some in tidemill.toml")
    if plan.needed:
        given = ", ".join(approval.actor for approval in plan.approvals) or "none"
        click.echo(f"\napprovals that count: {len(plan.approvals)} of {plan.needed} ({given})")
    here = "names nothing" if number_now is None else f"is version {number_now}"
    if found.archived:
        click.echo(f"\nwould be refused: version {found.version} is archived")
    elif not may:
        click.echo("\nwould be refused:\n" + "\n".join(f"  {obstacle}" for obstacle in plan.obstacles))
    elif number_now == found.version:
        click.echo(f"\n{name} is version {found.version} already: nothing would move")
    else:
        click.echo(f"\n{name} {here}; it would be version {found.version}")


def gate_table(gate: GateResult) -> str:
    """Every promise with its number, interval and margin."""
    rows = [
        (
            promise.name, promise.bound, promise.moment, number(promise.value) or "not measured",
            "" if promise.low is None else f"[{promise.low:.4g}, {promise.high:.4g}]",
            "" if promise.margin is None else f"{promise.margin:+.4g}",
            promise.status if promise.value is not None else promise.reason,
        )
        for promise in gate.promises
    ]  # fmt: skip
    return table(["requirement", "bound", "at", "measured", "interval", "margin", ""], rows, right=["margin"])


@command.command(name="rollback", short_help="Point an alias back at the version before.")
@click.argument("model")
@click.option("--alias", "--as", "alias", default="champion", show_default=True)
@click.option("--reason", default="", help="Why, for the audit.")
@shared
def rollback(setup: Setup, model: str, alias: str, reason: str) -> None:
    """Point the alias of MODEL back at the version before the last promotion."""
    name, alias = _model_and_alias(model, alias)
    asked = rules(setup)
    with setup.store() as store:
        moved = roll_back(store, name, alias, reason=reason, rules=asked)
        tell(setup, store, asked)
    _moved(setup, moved.model, moved.alias, moved.version)


@command.command(name="unalias", short_help="Take an alias away.")
@click.argument("reference", metavar="MODEL@ALIAS")
@click.option("--reason", default="", help="Why, for the audit.")
@shared
def unalias(setup: Setup, reference: str, reason: str) -> None:
    """Take an alias away from a model; its version stays."""
    if "@" not in reference:
        raise UsageError("this names no alias", value=reference, hint="Write MODEL@ALIAS.")
    name, alias = _model_and_alias(reference, "")
    asked = rules(setup)
    with setup.store() as store:
        version = remove_alias(store, name, alias, reason=reason, rules=asked)
        tell(setup, store, asked)
    payload = {"model": name, "alias": alias, "version": version}
    said(setup, payload, f"{name}@{alias} names nothing any more; it was version {version}")


@command.command(name="approve", short_help="Agree to a version as a second person.")
@click.argument("reference")
@click.option("--as", "alias", default="", metavar="ALIAS", help="Which alias it may take; any by default.")
@click.option("--note", default="", help="What is to be remembered of the decision.")
@click.option("--withdraw", is_flag=True, help="Take your approval back.")
@shared
def approve(setup: Setup, reference: str, *, alias: str, note: str, withdraw: bool) -> None:
    """Agree to REFERENCE (NAME@NUMBER): to its package and its numbers as they are now.

    Who you are is what TIDEMILL_ACTOR says, else your user name; it must not be who registered the version.
    """
    if "@" not in reference:
        raise UsageError("this names no version", value=reference, hint="Write NAME@NUMBER or NAME@ALIAS.")
    asked, wanted = rules(setup), parse_reference(reference)
    given: Approval | None = None
    with setup.store() as store:
        version = resolve(store, wanted)
        place = f"{version.model}@{version.version}"
        if withdraw:
            withdraw_approval(store, version, alias, note=note, rules=asked)
            text = f"your approval of {place} is taken back"
        else:
            given = approve_version(store, version, alias, note=note, rules=asked)
            text = f"{given.actor} approves {place}" + (f" as {alias}" if alias else "")
        tell(setup, store, asked)
    said(setup, {"model": version.model, "version": version.version, "approval": given}, text)


def _model_and_alias(text: str, alias: str) -> tuple[str, str]:
    """MODEL, or MODEL@ALIAS as people write it."""
    if "@" not in text:
        return text, alias
    wanted = parse_reference(text)
    if wanted.alias is None:
        raise UsageError("this names a version, not an alias", value=text, hint="Write MODEL@ALIAS.")
    return wanted.model, wanted.alias


def _moved(setup: Setup, model: str, alias: str, version: int) -> None:
    payload = {"model": model, "alias": alias, "version": version}
    said(setup, payload, f"{model}@{alias} is version {version}")
