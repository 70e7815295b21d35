"""What is to be served: names, the versions behind them, their shares; read from arguments and ``[endpoints]``.

In ``tidemill.toml``::

    [endpoints.flight-delay]
    variants = { champion = 90, challenger = 10 }    # aliases or version numbers, with their shares of the traffic
    shadow = ["candidate"]                           # asked the same, answers nobody
    hash = ["tailnum", "entity"]                     # what the prediction log keeps as keyed hashes only
    redact = ["note"]                                # and what it does not keep
    sample = 0.1                                     # of the requests; those with errors are always kept
    retention = "90d"                                # sealed days are deleted when they are older
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tidemill.core.errors import ConfigError, UsageError
from tidemill.project import Project
from tidemill.project.settings import nearest
from tidemill.registry.names import parse_reference
from tidemill.serving.log.privacy import Privacy

_KEYS = ("variants", "shadow", "hash", "redact", "sample", "retention", "precomputed", "rows", "entity")
_DAYS = {"h": 1 / 24, "d": 1, "w": 7}
#: Keys of look-ups, and what they take.
_LOOKUPS = {"precomputed": "sqlite:///scores.db", "rows": "SOURCE", "entity": "COLUMN"}
#: What checks them; loaded where there are any, for a server without does not need Polars.
_FORESEEING = "tidemill.serving.scoring.foreseeing"


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """A version that is to stand behind a name: its reference in the registry, its share, or that it is a shadow."""

    reference: str
    share: float = 1.0
    shadow: bool = False

    @property
    def name(self) -> str:
        """What the log calls it: the alias, or ``v7``."""
        version = parse_reference(self.reference).version
        return f"v{version}" if isinstance(version, int) else version


@dataclass(frozen=True, slots=True)
class EndpointPlan:
    """A name and who is to answer under it: registered variants, or a package's folder.

    `precomputed` is the table that predictions are looked up in; `rows` and its column `entity` are the source of what
    is predicted when it is asked for.
    """

    name: str
    variants: tuple[VariantPlan, ...] = ()
    folder: Path | None = None
    precomputed: str = ""
    rows: str = ""
    entity: str = ""


def plan_endpoints(
    references: Sequence[str], folders: Iterable[str | Path] = (), project: Project | None = None
) -> list[EndpointPlan]:
    """What arguments and a project say is to be served.

    Parameters
    ----------
    references
        ``flight-delay@champion`` serves that alias alone; a bare ``flight-delay`` what its ``[endpoints]`` table says,
        or its champion; none at all everything that ``[endpoints]`` declares.
    folders
        Package folders, served under their own names.
    project
        Whose ``[endpoints]`` count.

    Raises
    ------
    ConfigError
        For an ``[endpoints]`` table that cannot be served, or whose look-ups cannot work.
    MissingExtraError
        If the package that its look-ups need is not installed.
    UsageError
        When nothing is named, or a name is given twice.

    Examples
    --------
    >>> plan_endpoints(["flight-delay@3"])[0].variants
    (VariantPlan(reference='flight-delay@3', share=1.0, shadow=False),)
    """
    declared = {name: _declared(name, body) for name, body in _tables(project).items()}
    plans = [_plan(reference, declared) for reference in references]
    plans += [EndpointPlan("", folder=Path(folder)) for folder in folders]
    if not plans:
        plans = list(declared.values())
    if not plans:
        raise UsageError("nothing to serve", hint="Name a model, such as flight-delay@champion.")
    names = [plan.name for plan in plans if plan.name]
    if len(set(names)) < len(names):
        raise UsageError("a name can be served once", value=names, hint="Give each model once.")
    for plan in plans:
        if plan.precomputed or plan.rows:
            importlib.import_module(_FORESEEING).check_lookups(plan, project)
    return plans


def plan_privacy(project: Project, hash_key: str = "") -> dict[str, Privacy]:
    """What the prediction log may keep of each endpoint that a project declares.

    Raises
    ------
    ConfigError
        For a table that does not say it, or hashes without a key.
    """
    return {name: _private(name, body, hash_key) for name, body in _tables(project).items()}


def _private(name: str, body: Mapping[str, Any], hash_key: str) -> Privacy:
    for key in ("hash", "redact"):
        listed = body.get(key, [])
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            hint = f'Write {key} = ["tailnum", "entity"].'
            raise ConfigError(f"{key} of [endpoints.{name}] is no list of columns", value=listed, hint=hint)
    sample, retention = body.get("sample", 1.0), body.get("retention", "")
    if not _is_share(sample) or not 0 < sample <= 1:
        raise ConfigError(f"sample of [endpoints.{name}] is no share", value=sample, hint="Give more than 0, up to 1.")
    written = re.fullmatch(r"(\d{1,6})([hdw])", str(retention))
    days = int(written[1]) * _DAYS[written[2]] if written else 0.0
    if retention != "" and not days > 0:
        hint = 'Write "90d", "12w" or "36h".'
        raise ConfigError(f"retention of [endpoints.{name}] is no duration", value=retention, hint=hint)
    hashed, redacted = tuple(body.get("hash", ())), tuple(body.get("redact", ()))
    return Privacy(hashed, redacted, hash_key if hashed else "", float(sample), days)


def _plan(reference: str, declared: Mapping[str, EndpointPlan]) -> EndpointPlan:
    wanted = parse_reference(reference)
    if reference in declared:
        return declared[reference]
    plan = declared.get(wanted.model, EndpointPlan(wanted.model))
    return replace(plan, variants=(VariantPlan(str(wanted)),))


def _declared(name: str, body: Mapping[str, Any]) -> EndpointPlan:
    shares, shadows = body.get("variants", {"champion": 1}), body.get("shadow", [])
    if not isinstance(shares, Mapping) or not shares or not all(map(_is_share, shares.values())):
        example = "variants = { champion = 90, challenger = 10 }"
        raise ConfigError(f"[endpoints.{name}] needs variants with shares", value=shares, hint=f"Write {example}.")
    if not sum(shares.values()) > 0:
        raise ConfigError(f"no variant of [endpoints.{name}] has a share", value=dict(shares), hint="Give one some.")
    if not isinstance(shadows, list) or not all(isinstance(one, str | int) for one in shadows):
        raise ConfigError(f"shadow of [endpoints.{name}] is no list", value=shadows, hint='Write ["candidate"].')
    both = sorted({str(one) for one in shadows} & set(shares))
    if both:
        raise ConfigError(f"a variant of [endpoints.{name}] cannot be a shadow too", value=both, hint="Choose one.")
    plans = [VariantPlan(f"{name}@{version}", float(share)) for version, share in shares.items()]
    plans += [VariantPlan(f"{name}@{version}", 0.0, shadow=True) for version in shadows]
    for plan in plans:
        parse_reference(plan.reference)
    return EndpointPlan(name, tuple(plans), **_lookups(name, body))


def _lookups(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Where predictions of entities are looked up."""
    found = {key: body[key] for key in _LOOKUPS if key in body}
    for key, value in found.items():
        if not isinstance(value, str) or not value:
            hint = f'Write {key} = "{_LOOKUPS[key]}".'
            raise ConfigError(f"{key} of [endpoints.{name}] is no text", value=value, hint=hint)
    if ("rows" in found) != ("entity" in found):
        hint = 'Write rows = "SOURCE" and entity = "COLUMN".'
        raise ConfigError(f"[endpoints.{name}] needs both rows and entity, or neither", value=found, hint=hint)
    return found


def _tables(project: Project | None) -> Mapping[str, Mapping[str, Any]]:
    """The ``[endpoints]`` tables, with known keys only."""
    tables: Mapping[str, Mapping[str, Any]] = {} if project is None else project.endpoints
    for name, body in tables.items():
        for key in body:
            if key not in _KEYS:
                raise ConfigError(f"[endpoints.{name}] has an unknown key", value=key, hint=nearest(key, _KEYS))
    return tables


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
