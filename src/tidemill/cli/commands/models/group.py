"""The group that the subcommands of `tidemill models` join, and what all of them need."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import click

from tidemill.cli.options import Setup
from tidemill.cli.output import emit
from tidemill.core.errors import UsageError
from tidemill.core.records import Delivery
from tidemill.design import requirements_of
from tidemill.design.requirements import Requirement
from tidemill.registry.rules import Rules, rules_of
from tidemill.registry.webhooks import deliver
from tidemill.store import Store

#: After a change, so many events are told at once, in about so many seconds; the rest waits for its turn.
_IN_PASSING, _SECONDS = 5, 3.0


class NamedGroup(click.Group):
    """A group that says which subcommand was probably meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, or name the nearest one."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.commands, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(self.commands)}."
            raise click.UsageError(f"There is no command {args[0]!r} in {self.name}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    name="models", cls=NamedGroup, help="List, compare, promote, approve, describe and archive model versions."
)
def command() -> None:
    """Hold the subcommands."""


def rules(setup: Setup) -> Rules:
    """The project's ``[registry]``."""
    return rules_of(setup.project().registry)


def requirements(setup: Setup) -> tuple[Requirement, ...]:
    """The project's promises."""
    return requirements_of(setup.project().requirements)


def tell(setup: Setup, store: Store, asked: Rules) -> None:
    """Post a few events that are due; one that fails is no error of the change that it tells of."""
    if not asked.webhooks:
        return
    attempts = deliver(
        store, asked.webhooks, root=setup.project().root, limit=_IN_PASSING, seconds=_SECONDS, timeout=_SECONDS
    )
    for failed in [one for one in attempts if one.status != "delivered"]:
        click.echo(f"webhook {failed.webhook}: {_fate(failed)}", err=True)


def _fate(delivery: Delivery) -> str:
    if delivery.status == "dead":
        return f"{delivery.event} was given up: {delivery.error}"
    return f"{delivery.event} waits to be told again (tidemill webhooks deliver): {delivery.error}"


def pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` options.

    >>> pairs("--tag", ["team=ops"])
    {'team': 'ops'}
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{option} takes NAME=VALUE", value=text, hint=f"For example: {option} team=ops")
        found[name.strip()] = value
    return found


def wanted_tags(given: Sequence[str]) -> dict[str, str | None]:
    """``NAME`` or ``NAME=VALUE`` to search by."""
    found: dict[str, str | None] = {}
    for text in given:
        name, equals, value = text.partition("=")
        found[name.strip()] = value if equals else None
    return found


def said(setup: Setup, payload: dict[str, Any], text: str) -> None:
    """The end of a command that changed something: an object, or a sentence."""
    if setup.json:
        emit({"status": "succeeded", **payload})
    else:
        click.echo(text)
