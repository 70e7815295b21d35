"""``POST /v1/labels``: the truth about earlier answers, on the disk before it is acknowledged."""

from __future__ import annotations

import asyncio
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import InvalidRequestError, UsageError
from tidemill.serving.log.labelling import LabelLog, read_labels
from tidemill.serving.log.privacy import OPEN, Privacy
from tidemill.serving.log.shapes import Shape, shape_of
from tidemill.serving.rest.wire import Request, Response, as_json, parse
from tidemill.serving.site import Site

#: More labels than that are read in a thread, so that others are answered meanwhile.
_THREAD_LABELS = 512
_EXPECTED = 'Send {"labels": [{…}]}.'


async def take(site: Site, request: Request) -> Response:
    """Take ``{"labels": [{"request_id": "…", "row": 0, "label": …, "at": "…"}, {"entity": "…", …}], "model": "…"}``.

    All of them or none: a label that cannot be taken is refused with its place.
    """
    if site.labels is None:
        raise UsageError("this server keeps no log", hint="Start it with a folder for one.")
    body = parse(await request.body(), _EXPECTED)
    labels, model = body.get("labels"), body.get("model")
    if not isinstance(labels, list) or not labels:
        raise InvalidRequestError("the body has no labels", value=labels, hint=_EXPECTED)
    if len(labels) > _THREAD_LABELS:
        await asyncio.to_thread(_take, site, site.labels, labels, model)
    else:
        _take(site, site.labels, labels, model)
    await site.labels.settled()
    return as_json({"accepted": len(labels)})


def _take(site: Site, log: LabelLog, labels: list[Any], model: Any) -> None:
    served = site.repository.endpoints
    if model is None and len(served) == 1:
        model = next(iter(served))

    def privacy_of(name: str) -> Privacy:
        known = site.endpoint(name).log
        return OPEN if known is None else known.privacy

    def served_shape(name: str) -> Shape | None:
        traffic = site.endpoint(name).traffic
        signatures = (variant.predictor.signature for variant in (*traffic.live, *traffic.shadows))
        return shape_of((signature.task, signature.classes) for signature in signatures)

    now = clock.now_us()
    log.append(read_labels(labels, now, privacy_of, model, served_shape), now)
