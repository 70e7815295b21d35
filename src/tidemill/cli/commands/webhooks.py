"""`tidemill webhooks list|deliver|retry`."""

from __future__ import annotations

import click

from tidemill.cli.commands.models.group import NamedGroup, rules
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, moment, table
from tidemill.core.clock import lease_now
from tidemill.core.errors import UsageError
from tidemill.core.records import Delivery
from tidemill.registry.webhooks import deliver
from tidemill.store import outbox

_STATUSES = ("waiting", "delivered", "dead")


@click.group(name="webhooks", cls=NamedGroup, help="Tell webhooks what happened to models.")
def command() -> None:
    """Hold the subcommands."""


@command.command(name="list", short_help="List webhooks and what they were told.")
@click.option("--webhook", metavar="NAME", help="Only of this webhook.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only deliveries like this.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1))
@click.option("--before", metavar="ID", help="Go on after the delivery with this id.")
@shared
def list_(setup: Setup, webhook: str | None, status: str | None, limit: int, before: str | None) -> None:
    """List the project's webhooks, and the newest deliveries: what waits, what was told, what was given up."""
    asked = rules(setup)
    with setup.store() as store, store.metadata.reading() as tx:
        counts = outbox.counts(tx)
        found = outbox.list_deliveries(tx, webhook=webhook, status=status, limit=limit, before=before)
    named = {one.name: one for one in asked.webhooks}
    names = sorted({*named, *counts})
    numbers = {name: {state: counts.get(name, {}).get(state, 0) for state in _STATUSES} for name in names}
    events = {name: list(named[name].events) or ["all"] if name in named else [] for name in names}
    if setup.json:
        for one in found:
            emit({"delivery": one})
        summary = [{"webhook": name, "events": events[name], **numbers[name]} for name in names]
        emit({"status": "listed", "webhooks": summary, "deliveries": len(found)})
        return
    rows = [(name, ", ".join(events[name]) or "not in tidemill.toml", *numbers[name].values()) for name in names]
    click.echo(table(["webhook", "events", *_STATUSES], rows, right=_STATUSES) if rows else "no webhooks are declared")
    if found:
        click.echo("\n" + _deliveries(found))


@command.command(name="deliver", short_help="Post what is due.")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(min=1), help="So many requests at most.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Begin no request after so long.")
@shared
def deliver_(setup: Setup, limit: int, seconds: float | None) -> None:
    """Post every event that is due; run it from a scheduler to retry what failed."""
    asked = rules(setup)
    with setup.store() as store:
        attempts = deliver(store, asked.webhooks, root=setup.project().root, limit=limit, seconds=seconds)
    told = sum(one.status == "delivered" for one in attempts)
    if setup.json:
        for one in attempts:
            emit({"delivery": one})
        emit({"status": "succeeded", "delivered": told, "failed": len(attempts) - told})
        return
    if attempts:
        click.echo(_deliveries(attempts) + "\n")
    click.echo(f"delivered {told}, failed {len(attempts) - told}" if attempts else "nothing is due")


@command.command(name="retry", short_help="Let deliveries that failed be tried again.")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--dead", is_flag=True, help="All that were given up.")
@click.option("--webhook", metavar="NAME", help="With --dead: only of this webhook.")
@shared
def retry(setup: Setup, ids: tuple[str, ...], *, dead: bool, webhook: str | None) -> None:
    """Let deliveries be tried at the next `tidemill webhooks deliver`, with all their attempts before them."""
    if bool(ids) == dead:
        raise UsageError("say which deliveries", hint="Give their ids, or --dead for all that were given up.")
    now = round(lease_now() * 1e6)
    with setup.store() as store, store.metadata.transaction() as tx:
        chosen = [outbox.get(tx, one).id for one in ids]
        while dead and (page := outbox.list_deliveries(tx, webhook=webhook, status="dead", limit=500)):
            chosen += [one.id for one in page if outbox.retry(tx, one.id, now=now)]
        revived = len(chosen) if dead else sum(outbox.retry(tx, one, now=now) for one in chosen)
    if setup.json:
        emit({"status": "succeeded", "waiting": revived, "delivered_before": len(chosen) - revived})
    else:
        before = f"; {len(chosen) - revived} were delivered before" if len(chosen) > revived else ""
        click.echo(f"{revived} deliveries wait to be told{before}: tidemill webhooks deliver")


def _deliveries(found: list[Delivery]) -> str:
    rows = [
        (one.id, one.webhook, one.event, one.status, one.attempts,
         moment(one.next_at) if one.status == "waiting" else "", one.error)
        for one in found
    ]  # fmt: skip
    headers = ["delivery", "webhook", "event", "status", "attempts", "next (UTC)", "error"]
    return table(headers, rows, right=["attempts"])
