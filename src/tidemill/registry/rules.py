"""The ``[registry]`` table of a project: who must agree before an alias moves, and who is told of what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, get_args
from urllib.parse import urlsplit

from tidemill.core.errors import ConfigError
from tidemill.design import strict
from tidemill.registry.happenings import Event
from tidemill.registry.names import check_name

_KEYS = ("approvals", "approvers", "aliases", "force", "models", "webhooks")
_OF_MODELS = ("approvals", "approvers", "aliases")
_OF_WEBHOOKS = ("url", "events", "models", "secret", "timeout", "attempts")
_EVENTS: tuple[str, ...] = get_args(Event)
_ATTEMPTS = 8
_SECRET = re.compile(r"\$\{(env|file):[^}]+\}")


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where events are posted to.

    Parameters
    ----------
    name
        Its key in ``[registry.webhooks.NAME]``.
    url, secret
        As written; references to secrets in them stay references until a request is made.
    events, models
        What it is told of; empty for everything.
    timeout
        Seconds that one request may take in all.
    attempts
        After so many failures a delivery is given up until somebody retries it.
    """

    name: str
    url: str
    secret: str = ""
    events: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    timeout: float = 10.0
    attempts: int = _ATTEMPTS

    def wants(self, event: str, model: str) -> bool:
        """Whether it is to be told of this event of this model."""
        return (not self.events or event in self.events) and (not self.models or model in self.models)


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """How many must agree, by alias where that is said, and who may; None where nothing is said."""

    approvals: int | None = None
    approvers: tuple[str, ...] | None = None
    aliases: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds in a registry.

    Parameters
    ----------
    general, models
        Approvals in general, and of models by name.
    may_force
        Whether somebody may promote by force, with a reason.
    webhooks
        Who is told.
    """

    general: ApprovalRule = ApprovalRule()
    models: Mapping[str, ApprovalRule] = field(default_factory=dict)
    may_force: bool = True
    webhooks: tuple[Webhook, ...] = ()

    def needed(self, model: str, alias: str) -> int:
        """How many must agree before this alias of this model moves; the most particular rule counts.

        >>> rules = Rules(ApprovalRule(1, aliases={"challenger": 0}), {"late": ApprovalRule(2)})
        >>> [rules.needed(*wanted) for wanted in (("x", "champion"), ("x", "challenger"), ("late", "challenger"))]
        [1, 0, 2]
        """
        own = self.models.get(model, ApprovalRule())
        candidates = (own.aliases.get(alias), own.approvals, self.general.aliases.get(alias), self.general.approvals)
        return next((number for number in candidates if number is not None), 0)

    def approvers(self, model: str) -> tuple[str, ...]:
        """Who may agree; empty for everybody."""
        own = self.models.get(model, ApprovalRule()).approvers
        return (self.general.approvers or ()) if own is None else own


def rules_of(raw: Mapping[str, Any]) -> Rules:
    """Read the ``[registry]`` table of a project.

    Raises
    ------
    ConfigError
        For an unknown key or event (with the nearest known one), a number of approvals that cannot be, a webhook
        without URL, or a secret that is written out.

    Examples
    --------
    >>> rules_of({"approvals": 1, "approvers": ["ada"]}).general
    ApprovalRule(approvals=1, approvers=('ada',), aliases={})
    """
    where = "[registry]"
    strict.known_keys(raw, _KEYS, where)
    force = raw.get("force", True)
    if not isinstance(force, bool):
        raise ConfigError(f"force of {where} should be true or false", value=force)
    models = strict.table(raw, "models", where)
    webhooks = strict.table(raw, "webhooks", where)
    return Rules(
        general=_approvals(raw, where),
        models={name: _of_model(check_name(name, "model"), models) for name in models},
        may_force=force,
        webhooks=tuple(_webhook(name, webhooks) for name in webhooks),
    )


def _of_model(name: str, models: Mapping[str, Any]) -> ApprovalRule:
    where = f"[registry.models.{name}]"
    raw = strict.table(models, name, where)
    strict.known_keys(raw, _OF_MODELS, where)
    return _approvals(raw, where)


def _approvals(raw: Mapping[str, Any], where: str) -> ApprovalRule:
    aliases = strict.table(raw, "aliases", where)
    found = ApprovalRule(
        approvals=_count(raw, "approvals", where) if "approvals" in raw else None,
        approvers=_names(raw, "approvers", where) if "approvers" in raw else None,
        aliases={check_name(name, "alias"): _count(aliases, name, f"aliases of {where}") for name in aliases},
    )
    most = max([found.approvals or 0, *found.aliases.values()])
    if found.approvers is not None and len(set(found.approvers)) < most:
        hint = "Name more people, or ask for fewer approvals."
        raise ConfigError(f"{where} asks for {most} approvals by {len(set(found.approvers))} approvers", hint=hint)
    return found


def _webhook(name: str, webhooks: Mapping[str, Any]) -> Webhook:
    where = f"[registry.webhooks.{name}]"
    raw = strict.table(webhooks, name, where)
    strict.known_keys(raw, _OF_WEBHOOKS, where)
    url = strict.text(raw, "url", where, default=None)
    if not _SECRET.match(url) and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
        raise ConfigError(f"url of {where} is no web address", value=url, hint="Write https://host/path.")
    secret = strict.text(raw, "secret", where)
    if secret and not _SECRET.fullmatch(secret):
        hint = "Write ${env:NAME} or ${file:PATH}: this file is for everybody to read."
        raise ConfigError(f"secret of {where} must be a reference", hint=hint)
    events = _names(raw, "events", where)
    for event in events:
        if event not in _EVENTS:
            near = get_close_matches(event, _EVENTS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Events are {', '.join(_EVENTS)}."
            raise ConfigError(f"{where} asks for an unknown event", value=event, hint=hint)
    timeout = strict.number(raw, "timeout", where)
    if timeout is not None and not 0 < timeout <= 300:
        raise ConfigError(f"timeout of {where} should be more than 0 and at most 300 seconds", value=timeout)
    attempts = _count(raw, "attempts", where) if "attempts" in raw else _ATTEMPTS
    if attempts < 1:
        raise ConfigError(f"attempts of {where} should be at least 1", value=attempts)
    return Webhook(name, url, secret, events, _names(raw, "models", where), timeout or 10.0, attempts)


def _count(raw: Mapping[str, Any], key: str, where: str) -> int:
    value = raw[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        raise ConfigError(f"{key} of {where} should be a whole number from 0 to 100", value=value)
    return value


def _names(raw: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = raw.get(key, [])
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) and name.strip() for name in value):
        raise ConfigError(f"{key} of {where} should be a list of names", value=value, hint=f'Write {key} = ["…"].')
    return tuple(name.strip() for name in value)
