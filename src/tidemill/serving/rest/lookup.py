"""``GET /v1/models/{name}/predictions/{entity}``: what was predicted before, or else is now; it says which."""

from __future__ import annotations

import asyncio
import importlib
import re
from datetime import datetime, timedelta
from typing import Any

from tidemill.core.errors import InvalidRequestError, NotFoundError, StoreUnavailableError, TidemillError
from tidemill.serving.endpoint import Endpoint, score
from tidemill.serving.plans import EndpointPlan
from tidemill.serving.predictor import Predictor
from tidemill.serving.rest.wire import Request, Response, as_json
from tidemill.serving.site import Site

#: What reads tables; loaded when it is first asked for, for a server that is never asked does not need Polars.
_LOOKUPS = "tidemill.serving.scoring.lookups"
_AGE = re.compile(r"(\d{1,9})([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


async def prediction(site: Site, request: Request) -> Response:
    """The prediction of an entity.

    ``max_age`` (seconds, or ``15m``, ``6h``, ``1d``) is how long ago it may have been scored. What is missing, older or
    of another version than the one that answers now is predicted from the entity's newest row.
    """
    endpoint, entity = site.endpoint(request.given["name"]), request.given["entity"]
    plan = site.repository.plan_of(endpoint.name)
    max_age = _max_age(request.only_parameter("max_age", "a look-up") or "")
    predictor = endpoint.predictor
    if not plan.precomputed and not plan.rows:
        hint = f'Write precomputed = "sqlite:///scores.db" under [endpoints.{endpoint.name}] in tidemill.toml.'
        raise NotFoundError("no predictions are looked up for this model", value=endpoint.name, hint=hint)
    why, is_broken = "nothing is precomputed for this model", False
    if plan.precomputed:
        lookups: Any = await asyncio.to_thread(importlib.import_module, _LOOKUPS)
        found = await asyncio.to_thread(
            lookups.look_up, plan.precomputed, entity, predictor.version, predictor.signature, max_age
        )
        if found.answer is not None:
            told = {"as_of": _text(found.as_of), "scored_at": _text(found.scored_at), "prediction": found.answer}
            return as_json(_about(endpoint, predictor.version, entity, "precomputed") | told)
        why, is_broken = found.why, found.is_broken
    return await _live(endpoint, plan, request, why, is_broken=is_broken)


async def _live(endpoint: Endpoint, plan: EndpointPlan, request: Request, why: str, *, is_broken: bool) -> Response:
    entity = request.given["entity"]
    row = await asyncio.to_thread(_newest, plan, entity, endpoint.predictor) if plan.rows else None
    if row is None:
        hint = f"{plan.rows} has no row of it either." if plan.rows else (
            f'To predict it when asked, write rows = "SOURCE" and entity = "COLUMN" under [endpoints.{endpoint.name}].'
        )  # fmt: skip
        # Of a table that cannot be read, nobody knows whether it has the entity.
        kind: type[TidemillError] = StoreUnavailableError if is_broken else NotFoundError
        raise kind(f"no prediction of this entity: {why}", value=entity, hint=hint)
    answered = await score(endpoint, [row], request.caller(entities=[entity]))
    told = {"why": why, "request_id": answered.request_id, "prediction": answered.answer.predictions[0]}
    status = 500 if answered.answer.failures else 422 if answered.answer.problems else 200
    return as_json(_about(endpoint, answered.variant.predictor.version, entity, "live") | told, status)


def _newest(plan: EndpointPlan, entity: str, predictor: Predictor) -> dict[str, Any] | None:
    lookups: Any = importlib.import_module(_LOOKUPS)
    rows = lookups.SourceRows(plan.rows, plan.entity, predictor.signature)
    row: dict[str, Any] | None = lookups.live_row(rows, entity, predictor.columns)
    return row


def _about(endpoint: Endpoint, version: int | None, entity: str, source: str) -> dict[str, Any]:
    return {"model": endpoint.name, "version": version, "entity": entity, "source": source}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _max_age(text: str) -> timedelta | None:
    """How old an answer may be.

    >>> _max_age("15m")
    datetime.timedelta(seconds=900)
    """
    if not text:
        return None
    found = _AGE.fullmatch(text)
    if found is None:
        raise InvalidRequestError("max_age is no length of time", value=text, hint="Write seconds, or 15m, 6h, 1d.")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
