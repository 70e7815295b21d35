"""Web pages, fetched politely and kept: robots.txt is obeyed, hosts get pauses, nothing is asked for twice in vain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import tidemill
from tidemill.core import clock
from tidemill.core.errors import DataError, MissingExtraError
from tidemill.data.moments import duration
from tidemill.data.sources.shown import shown
from tidemill.integrations import http_patience
from tidemill.integrations.html_extract import decoded
from tidemill.integrations.html_notes import Note, Notes
from tidemill.integrations.robots import ALL_ALLOWED, LIMIT, Robots, parse_robots

try:
    import httpx
except ImportError as error:
    raise MissingExtraError("httpx", "scrape", purpose="reading web pages") from error

_MOVED = frozenset({301, 302, 303, 307, 308})
_RETRIES, _TIMEOUT, _DELAY, _AGE = 3, 30.0, 1.0, "10m"
_MOST_BYTES, _MOST_HOPS = 10 * 1024**2, 10
#: A robots.txt is asked for again after so many seconds, as RFC 9309 wants.
_ROBOTS_AGE = 86_400.0
_KINDS = ("text/html", "application/xhtml+xml", "text/plain", "")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page: where it was found in the end, its text, and when this content was first fetched."""

    url: str
    text: str
    at: datetime


class Site:
    """Fetches the pages of one source.

    Parameters
    ----------
    source
        The name of the source, for messages.
    start
        The first page; no other host is asked, but those of the option ``hosts``.
    options
        The source's options with their secrets revealed; see `tidemill.integrations.html`.
    root
        The project's folder, which has the cache.
    """

    def __init__(self, source: str, start: str, options: Mapping[str, Any], root: Path) -> None:
        self.source = source
        self._notes = Notes(root)
        self._hosts = {_host(start), *(str(host).lower() for host in options.get("hosts", ()))}
        agent = str(options.get("user_agent", f"tidemill/{tidemill.__version__}"))
        self._product = re.split(r"[/\s]", agent, maxsplit=1)[0]
        self._age = duration(str(options.get("cache_age", _AGE))).total_seconds()
        self._delay = float(options.get("delay", _DELAY))
        self._retries = int(options.get("retries", _RETRIES))
        self._most = int(options.get("max_bytes", _MOST_BYTES))
        self._encoding = options.get("encoding")
        self._robots: dict[str, Robots] = {}
        self._next: dict[str, float] = {}
        headers = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1", **options.get("headers", {})}
        self._http = httpx.Client(timeout=options.get("timeout", _TIMEOUT), headers={**headers, "User-Agent": agent})

    def __enter__(self) -> Site:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def serves(self, url: str) -> bool:
        """Whether a link stays on the hosts of the source."""
        return _host(url) in self._hosts

    def page(self, url: str) -> Fetched:
        """A page, from the cache if the server was asked within ``cache_age``.

        Raises
        ------
        DataError
            If robots.txt forbids it, it leads to another host, the server refuses or keeps failing, or what comes is
            too large, is no HTML, or is not in the encoding that it claims. The message names the URL.
        """
        self._require_allowed(url)
        note, now = self._notes.find(url), clock.now()
        if note is not None and note.age(now) < self._age:
            return self._fetched(note)
        target, response, data = self._follow(url, note)
        if response.status_code == 304 and note is not None:
            return self._fetched(self._notes.write(url, replace(note, checked=now.isoformat())))
        kind = response.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() not in _KINDS:
            raise self.error(f"is no web page but {kind}", target, "Read files in their format, and APIs as rest.")
        digest = self._notes.keep(data)
        first = note.first if note is not None and note.digest == digest else now.isoformat()
        marks = response.headers.get("etag"), response.headers.get("last-modified")
        return self._fetched(self._notes.write(url, Note(target, digest, first, now.isoformat(), kind, *marks)))

    def error(self, what: str, url: object, hint: str) -> DataError:
        """An error that names the source and the URL without its secrets."""
        return DataError(shown(f"a page of source {self.source!r} {what}"), value=shown(str(url)), hint=hint)

    def _follow(self, url: str, note: Note | None) -> tuple[str, httpx.Response, bytes]:
        """The answer behind all redirections, each of which must be allowed itself."""
        target = url
        for _ in range(_MOST_HOPS):
            known = note is not None and note.url == target
            marks = {"If-None-Match": note.etag, "If-Modified-Since": note.modified} if note and known else {}
            headers = {name: mark for name, mark in marks.items() if mark}
            response, data = self._answer(target, headers)
            if response.status_code not in _MOVED:
                return target, response, data
            target = str(response.url.join(response.headers.get("location", "")))
            self._require_allowed(target)
        raise self.error(f"leads from page to page for more than {_MOST_HOPS} hops", url, "Check the uri.")

    def _require_allowed(self, url: str) -> None:
        if not self.serves(url):
            raise self.error("leads to another host", url, 'If you may read that one too: hosts = ["HOST"].')
        rule = self._rules(url).forbids(url)
        if rule is not None:
            raise self.error(
                f"may not be fetched: the site's robots.txt says {rule.line!r}",
                url,
                "Ask the site's owner for another way to the data.",
            )

    def _answer(self, url: str, headers: Mapping[str, str]) -> tuple[httpx.Response, bytes]:
        data = b""

        def ask() -> tuple[str, httpx.Response | None]:
            nonlocal data
            said, response, data = self._try(url, headers, self._most)
            return said, response

        ending = http_patience.patiently(
            ask,
            retries=self._retries,
            accepts=lambda answer: answer.is_success or answer.status_code in (304, *_MOVED),
        )
        response: httpx.Response = ending.response
        if ending.is_answer:
            return response, data
        if ending.refused:
            raise self.error(f"was refused: {ending.said}", url, "Check the uri, and the selectors of links.")
        raise self.error(
            f"cannot be had: {ending.said}{ending.after}", url, "Run again later; what came so far is kept."
        )

    def _try(self, url: str, headers: Mapping[str, str], most: int) -> tuple[str, httpx.Response | None, bytes]:
        """What happened, the answer if there was one, and its unpacked body, of at most `most` bytes."""
        host = _host(url)
        http_patience.wait(self._next.get(host, 0.0) - clock.elapsed())
        data = bytearray()
        try:
            with self._http.stream("GET", url, headers=dict(headers)) as response:
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > most:
                        raise self.error(f"is larger than {most:,} bytes", url, "Raise max_bytes.")
        except (httpx.TransportError, httpx.DecodingError) as error:
            return f"nothing came ({type(error).__name__})", None, b""
        finally:
            pause = max(self._delay, self._robots.get(_origin(url), ALL_ALLOWED).delay)
            self._next[host] = clock.elapsed() + pause
        return f"{response.status_code} {response.reason_phrase}".strip(), response, bytes(data)

    def _rules(self, url: str) -> Robots:
        origin = _origin(url)
        if origin not in self._robots:
            robots = f"{origin}/robots.txt"
            note, now = self._notes.find(robots), clock.now()
            if note is None or note.age(now) >= min(_ROBOTS_AGE, self._age):
                digest = self._notes.keep(self._read_robots(robots))
                note = self._notes.write(robots, Note(robots, digest, now.isoformat(), now.isoformat(), "text/plain"))
            text = self._notes.content(note).decode("utf-8", errors="replace")
            self._robots[origin] = parse_robots(text, self._product)
        return self._robots[origin]

    def _read_robots(self, url: str) -> bytes:
        """The file; nothing where the host has none, which allows everything. A host that fails allows nothing."""
        target, said = url, ""
        for _ in range(_MOST_HOPS // 2):
            said, response, data = self._try(target, {}, self._most)
            if response is not None and response.status_code in _MOVED:
                target = str(response.url.join(response.headers.get("location", "")))
                continue
            if response is not None and response.is_success:
                return data[:LIMIT]
            if response is not None and response.is_client_error and response.status_code != 429:
                return b""
            break
        raise self.error(
            f"may not be fetched, since the site's robots.txt cannot be read: {said}", url, "Run again later."
        )

    def _fetched(self, note: Note) -> Fetched:
        try:
            text = decoded(self._notes.content(note), note.kind, self._encoding)
        except (UnicodeDecodeError, LookupError) as error:
            raise self.error(f"is not in its encoding: {error}", note.url, 'Set encoding = "cp1252", say.') from error
        return Fetched(note.url, text, datetime.fromisoformat(note.first))


def _host(url: str) -> str:
    try:
        return httpx.URL(url).netloc.decode().lower()
    except httpx.InvalidURL:
        return ""


def _origin(url: str) -> str:
    parts = httpx.URL(url)
    return f"{parts.scheme}://{parts.netloc.decode()}"
