"""``POST /v1/models/{name}/batch``: a file of rows in, a file of answers out, in the order of the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import quote

from tidemill.core import clock
from tidemill.core.errors import InvalidRequestError
from tidemill.serving.endpoint import Caller, Endpoint
from tidemill.serving.rest.wire import Refusal, Request, Response
from tidemill.serving.site import Site
from tidemill.serving.variants import Variant

if TYPE_CHECKING:
    from tidemill.serving.tables import Format

#: What a file may be, by the media type that says so.
FORMATS: dict[str, Format] = {
    "text/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.apache.arrow.stream": "arrow",
}
#: Columns that a header names.
_SHOWN = 20


async def batch(site: Site, request: Request) -> Response:
    """Answer every row of a file; the status is that which `predict` would have.

    The file is as its ``Content-Type`` says, and so are the answers unless ``Accept`` asks for another kind.
    ``entity`` is the column with the keys of those whom the rows are about.
    """
    started, endpoint = clock.elapsed(), site.endpoint(request.given["name"])
    entity = request.only_parameter("entity", "a file of rows")  # misspelt, it would leave the rows to nobody
    given = _sent_as(request)
    wanted = _asked_for(request, given)
    caller = request.caller()
    body = await request.body()
    variant = endpoint.choose(caller)
    response = await asyncio.to_thread(_answer, endpoint, variant, caller, body, given, wanted, entity)
    await endpoint.settled()
    endpoint.meters(variant).took("batch", response.status, clock.elapsed() - started)
    return response


def _answer(
    endpoint: Endpoint, variant: Variant, caller: Caller, body: bytes, given: str, wanted: str, entity: str | None
) -> Response:
    tables = import_module("tidemill.serving.tables")  # Polars: a server that is sent no file never loads it
    answers, predictor = import_module("tidemill.serving.answer_files"), variant.predictor
    try:
        completed = predictor.features is not None
        chunks = tables.read_chunks(FORMATS[given], body, predictor.signature, completed=completed, entity=entity)
    except tables.TooManyRowsError as error:
        hint = f"Send at most {tables.MAX_ROWS:,} rows at once; split the file."
        raise Refusal(413, InvalidRequestError("the file holds too much", value=str(error), hint=hint)) from error
    written, rows, refused, failed = answers.Written(FORMATS[wanted], predictor.signature), 0, 0, 0
    for chunk in chunks:
        about = caller._replace(entities=chunks.entities(rows, len(chunk)))
        answered = endpoint.answer(chunk, about, variant, by=tables.answer_chunk)
        caller = caller._replace(deadline=None)  # its turn has come: a long file is answered to its end
        written.add(answered.answer, answered.request_id)
        rows += len(chunk)
        refused += len(answered.answer.problems)
        failed += answered.answer.failures
    headers = ((b"tidemill-variant", variant.name.encode()), (b"tidemill-rows", b"%d" % rows),
               (b"tidemill-refused", b"%d" % refused), (b"tidemill-version", str(predictor.version or "").encode()),
               (b"tidemill-left-aside", _listed(chunks.left_aside)))  # fmt: skip
    status = 200 if refused < rows else 500 if failed == rows else 422
    return Response(status, written.finish(), wanted.encode(), headers)


def _listed(names: Iterable[str]) -> bytes:
    """Names for a header: percent-encoded, since they may hold anything, and not too many."""
    shown = list(names)
    more = [f"and {len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else []
    return ", ".join([*(quote(name[:100], safe="") for name in shown[:_SHOWN]), *more]).encode()


def _sent_as(request: Request) -> str:
    sent = _media_type(request.header(b"content-type").decode("latin-1"))
    if sent not in FORMATS:
        error = InvalidRequestError("this kind of file is not read", value=sent or None, hint=_hint("Content-Type"))
        raise Refusal(415, error)
    packed = request.header(b"content-encoding").decode("latin-1").strip().lower()
    if packed not in ("", "identity"):
        hint = "Send it as it is; Parquet is compressed inside."
        raise Refusal(415, InvalidRequestError("a packed body is not unpacked", value=packed, hint=hint))
    return sent


def _asked_for(request: Request, given: str) -> str:
    """The kind of the answers: the first that the client accepts; the kind of the rows where it does not mind."""
    accepted = request.header(b"accept").decode("latin-1")
    for one in accepted.split(",") if accepted.strip() else ("*/*",):
        kind = _media_type(one)
        if kind in FORMATS:
            return kind
        if kind in ("*/*", f"{given.partition('/')[0]}/*"):
            return given
    raise Refusal(406, InvalidRequestError("answers are not written so", value=accepted, hint=_hint("Accept")))


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def _hint(header: str) -> str:
    return f"{header}: {', '.join(FORMATS)}."
