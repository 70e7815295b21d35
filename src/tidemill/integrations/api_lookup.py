"""Ask an API for single keys, or for some at once: politely, a few at a time, each until it has answered."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tidemill.core.errors import ConfigError, DataError
from tidemill.data.answers import Found, Key
from tidemill.data.lookup import PLACE, places
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import Source
from tidemill.integrations.rest_client import Client
from tidemill.project import reveal, reveal_all

_SECRET_HEADER = re.compile(r"(?i)auth|token|key|secret|cookie|signature")


def endpoint(source: Source) -> object:
    """What is asked, without secrets and keys: equal questions have equal answers."""
    options = source.options
    headers = {k.lower(): v for k, v in options.get("headers", {}).items() if not _SECRET_HEADER.search(k)}
    asked = urlencode({k: str(v) for k, v in options.get("params", {}).items()}, safe="{},$:")
    address = f"{source.uri.rstrip('/')}/{str(options.get('resource', '')).strip('/')}"
    return [shown(f"{address}{'&' if '?' in address else '?'}{asked}"), options.get("records", ""), headers]


def ask(
    source: Source, root: Path, names: Sequence[str], keys: Sequence[Key], *, batch: int, threads: int
) -> Iterator[tuple[Key, Found, DataError | None]]:
    """What the API has for each key, as it answers; or the error, for a key that it did not answer for.

    Parameters
    ----------
    source
        The API, with `names` in braces; its options are those of a REST source.
    names
        What the values of a key are called, there and in the records.
    batch
        Keys of one request, joined by commas; its records tell by the field `names` which key they are for.
    threads
        Requests at the same time.
    """
    options = reveal_all(dict(source.options), root=root)
    address = f"{reveal(source.uri, root=root).rstrip('/')}/{str(options.get('resource', '')).strip('/')}".rstrip("/")
    question = _Question(address, options.get("params", {}), options.get("records", ""), tuple(names), batch)
    groups = [keys[at : at + batch] for at in range(0, len(keys), batch)]
    waiting: deque[tuple[Sequence[Key], Future[list[Found]]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="tidemill-lookup")
    with Client(source.name, PLACE.sub("x", address), options) as client:
        try:
            for group in groups:
                waiting.append((group, pool.submit(question.ask, client, group)))
                if len(waiting) > threads:
                    yield from _answers(*waiting.popleft())
            while waiting:
                yield from _answers(*waiting.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _answers(group: Sequence[Key], answer: Future[list[Found]]) -> Iterator[tuple[Key, Found, DataError | None]]:
    try:
        records = answer.result()
    except DataError as error:
        yield from ((key, None, error) for key in group)
        return
    yield from ((key, record, None) for key, record in zip(group, records, strict=True))


class _Question:
    """One endpoint with places for the values of keys."""

    def __init__(
        self, address: str, parameters: Mapping[str, Any], records: str, names: tuple[str, ...], batch: int
    ) -> None:
        self._address = address
        self._parameters = parameters
        self._records = records
        self._names = names
        self._batch = batch

    def ask(self, client: Client, group: Sequence[Key]) -> list[Found]:
        """A record or None for each key of a group."""
        values = {name: ",".join(key[at] for key in group) for at, name in enumerate(self._names)}
        self._require_askable(client, group)
        # Secrets have been put in before: a key from the data is never taken for a reference to one.
        url = PLACE.sub(lambda found: quote(values[found[1]], safe=","), self._address)
        query = {
            name: PLACE.sub(lambda found: values[found[1]], value) if isinstance(value, str) else value
            for name, value in self._parameters.items()
        }
        answer = client.find(url, query)
        if answer is None:
            return [None] * len(group)
        records = self._listed(client, answer[0], answer[1].request.url)
        return [self._one(client, key, records, answer[1].request.url) for key in group]

    def _require_askable(self, client: Client, group: Sequence[Key]) -> None:
        in_path = PLACE.search(self._address) is not None
        for key in group:
            for value in key:
                if in_path and not value.strip("."):
                    raise client.error(f"cannot be asked for the key {value!r}", self._address, "Make it null.")
                if self._batch > 1 and "," in value:
                    raise client.error(
                        f"cannot be asked for the key {value!r} with others", self._address, "Use batch=1."
                    )

    def _listed(self, client: Client, body: Any, url: object) -> list[Mapping[str, Any]]:
        for name in filter(None, self._records.split(".")):
            if not isinstance(body, Mapping) or name not in body:
                raise client.error(f"has no {self._records!r} in its answer", url, "Check records.")
            body = body[name]
        records = [] if body is None else [body] if isinstance(body, Mapping) else body
        if not isinstance(records, list) or not all(isinstance(record, Mapping) for record in records):
            raise client.error("answered no record", url, "Set records to the path of the record or the list of them.")
        return records

    def _one(self, client: Client, key: Key, records: list[Mapping[str, Any]], url: object) -> Found:
        if self._batch > 1 or len(records) > 1:
            nameless = [name for name in self._names if records and name not in records[0]]
            if nameless:
                raise client.error(
                    f"answered {len(records)} records without {nameless[0]!r}, which would tell whose they are",
                    url,
                    "Name the key on the right like the field: on={'left': 'field'}; or use batch=1.",
                )
            records = [record for record in records if tuple(as_text(record[name]) for name in self._names) == key]
        if len(records) > 1:
            raise client.error(f"has {len(records)} records for the key {', '.join(key)!r}", url, "It must have one.")
        return records[0] if records else None


def as_text(value: Any) -> str:
    """A value of a key as it stands in a URL.

    >>> as_text(True), as_text(7), as_text("LYS")
    ('true', '7', 'LYS')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def require_places(source: Source, names: Sequence[str]) -> None:
    """ConfigError unless the source has a place for each name, and no others."""
    found = places(source)
    if set(found) != set(names):
        raise ConfigError(
            f"the places for keys of the API {source.name!r} are not those of on",
            value={"places": found, "on": list(names)},
            hint='Write on={"dest": "faa"} for …/airports/{faa}.',
        )
