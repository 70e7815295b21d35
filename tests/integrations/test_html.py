"""A site must be read as its owner allows, to its last page and within bounds; what was not read is said."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import polars as pl
import pytest
from http_server import serving

from tidemill.core import clock
from tidemill.core.errors import ConfigError, DataError, SchemaError
from tidemill.data.read import resolve_source, scan_source
from tidemill.integrations import http_patience

QUOTES = """<div class=quote data-id={n}><span class=text>Said   the {n}th</span>
<small class=author>Ann {n}</small><a class=tag>a</a><a class=tag>b{n}</a>
<a class=more href="/about/{n}">more</a></div>"""
FIELDS = {"text": "span.text", "author": "small.author", "id": "@data-id", "tags": "a.tag[]", "about": "a.more@href"}


class Site:
    """A real server on this machine: `pages` has a body, or (status, body, headers), for each path; None breaks off."""

    def __init__(self) -> None:
        self.pages: dict[str, object] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[str], object] = lambda path: self.pages.get(path, (404, "no such page", {}))
        self.url = ""

    def paths(self) -> list[str]:
        """What was asked for, without robots.txt."""
        return [path for path in self.asked if path != "/robots.txt"]


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()

    def answer(handler: BaseHTTPRequestHandler) -> object:
        served.asked.append(handler.path)
        served.headers.append(dict(handler.headers))
        return served.answer(handler.path)

    with serving(answer, headers={"Content-Type": "text/html"}) as served.url:
        yield served


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """The pauses that would be made, without making them."""
    made: list[float] = []
    monkeypatch.setattr(http_patience, "wait", lambda seconds: made.append(seconds) if seconds > 0 else None)
    return made


def declared(site: Site, path: str = "/", **options) -> dict:
    return {"s": {"uri": f"{site.url}{path}", "format": "html", **options}}


def load(root: Path, site: Site, path: str = "/", **options) -> pl.DataFrame:
    sources = declared(site, path, **options)
    return scan_source(resolve_source("s", root=root, sources=sources), root=root).collect()


def three_pages(site: Site) -> None:
    for page in (1, 2, 3):
        following = f'<li class=next><a href="?page={page + 1}">next</a></li>' if page < 3 else ""
        body = QUOTES.format(n=2 * page - 1) + QUOTES.format(n=2 * page) + following
        site.pages["/" if page == 1 else f"/?page={page}"] = body


def test_rows_come_from_every_page_with_where_they_were_found(tmp_path, site):
    three_pages(site)
    with clock.use_clock(clock.VirtualClock(datetime(2013, 1, 1, tzinfo=UTC))):
        frame = load(tmp_path, site, rows="div.quote", fields=FIELDS, next="li.next a")
    assert frame["text"].to_list() == [f"Said the {n}th" for n in range(1, 7)]
    assert frame["id"].to_list() == [1, 2, 3, 4, 5, 6]  # numbers are read as such
    assert frame["tags"].to_list()[2] == ["a", "b3"]
    assert frame["about"][3] == f"{site.url}/about/4"
    assert frame["_url"].to_list()[::2] == [f"{site.url}/", f"{site.url}/?page=2", f"{site.url}/?page=3"]
    assert frame["_page"].to_list() == [1, 1, 2, 2, 3, 3]
    assert set(frame["_fetched_at"]) == {datetime(2013, 1, 1, tzinfo=UTC)}


def test_rows_of_pages_behind_links(tmp_path, site):
    site.pages["/"] = (
        "<a class=day href=/d1>1</a><a class=day href=/d2>2</a><a href=/other>x</a><a class=n href=/p2>n</a>"
    )
    site.pages["/p2"] = '<base href="/deep/"><a class=day href=d3>3</a><a class=day href="/d1">again</a>'
    for path in ("/d1", "/d2", "/deep/d3"):
        site.pages[path] = f"<h1>{path}</h1>"
    frame = load(tmp_path, site, fields={"title": "h1"}, follow="a.day", next="a.n")
    assert frame["title"].to_list() == ["/d1", "/d2", "/deep/d3"]
    assert "/other" not in site.asked
    assert site.asked.count("/d1") == 1


def test_links_two_deep(tmp_path, site):
    site.pages["/"] = "<a href=/year>2013</a>"
    site.pages["/year"] = "<a href=/year/1>January</a><a href=/year/2>February</a>"
    site.pages["/year/1"], site.pages["/year/2"] = "<h1>1</h1>", "<h1>2</h1>"
    frame = load(tmp_path, site, fields={"month": "h1"}, follow="a", depth=2)
    assert frame["month"].to_list() == [1, 2]


def test_a_html_table(tmp_path, site):
    site.pages["/"] = """<table><tr><td>layout</td></tr></table>
    <table id=t><thead><tr><th rowspan=2>Airport<th colspan=2>Delay</tr><tr><th>mean<th>most</tr></thead>
    <tr><th scope=row>EWR<td>2.5<td>30</tr><tr><td>JFK<td colspan=2>4</tr>
    <tr><td rowspan=2>LGA<td>1.5<td>20<table><tr><td>inner</table></tr><tr><td>3<td></tr></table>"""
    frame = load(tmp_path, site, table="2", provenance=False)
    assert frame.columns == ["Airport", "Delay mean", "Delay most"]
    assert frame["Airport"].to_list() == ["EWR", "JFK", "LGA", "LGA"]
    assert frame["Delay mean"].to_list() == [2.5, 4.0, 1.5, 3.0]
    assert frame["Delay most"].to_list() == ["30", "4", "20 inner", None]
    assert load(tmp_path, site, table="#t", provenance=False).equals(frame)
    with pytest.raises(DataError, match="3 tables of the page match the selector 'table'"):
        load(tmp_path, site, table="table")


def test_columns_without_a_name_or_with_the_same_name_are_kept(tmp_path, site):
    site.pages["/"] = "<table><tr><th>a<th><th>a</tr><tr><td>1<td>2<td>3</tr></table>"
    assert load(tmp_path, site, table="1", provenance=False).to_dicts() == [{"a": 1, "column_2": 2, "a_2": 3}]


def test_robots_forbids(tmp_path, site):
    three_pages(site)
    site.pages["/robots.txt"] = "User-agent: *\nDisallow: /*page=2"
    with pytest.raises(DataError, match=r"robots.txt says 'Disallow: /\*page=2'.*page=2"):
        load(tmp_path, site, rows="div.quote", fields=FIELDS, next="li.next a")
    assert site.paths() == ["/"]


def test_robots_for_this_program_alone(tmp_path, site):
    site.pages["/"] = "<h1>1</h1>"
    site.pages["/robots.txt"] = (
        "User-agent: *\nDisallow: /\n\nUser-agent: TideMill\nUser-agent: other\nAllow: /\nCrawl-delay: 7"
    )
    assert load(tmp_path, site, fields={"t": "h1"}).height == 1
    with pytest.raises(DataError, match="Disallow: /"):
        load(tmp_path, site, fields={"t": "h1"}, user_agent="stranger/1.0 (+https://example.org)", cache_age="0s")
    assert site.headers[-1]["User-Agent"] == "stranger/1.0 (+https://example.org)"


def test_a_host_whose_robots_cannot_be_read_is_left_alone(tmp_path, site):
    site.pages["/"], site.pages["/robots.txt"] = "<h1>1</h1>", (503, "", {})
    with pytest.raises(DataError, match=r"robots.txt cannot be read: 503"):
        load(tmp_path, site, fields={"t": "h1"})
    assert site.paths() == []


def test_pauses_between_requests_and_the_longer_one_that_robots_asks_for(tmp_path, site, pauses, monkeypatch):
    monkeypatch.setattr(clock, "elapsed", lambda: 0.0)  # as if no time passed between requests
    three_pages(site)
    load(tmp_path, site, rows="div.quote", fields=FIELDS, next="li.next a", delay=2.5)
    assert pauses == [2.5, 2.5, 2.5]
    pauses.clear()
    site.pages["/robots.txt"] = "User-agent: *\nCrawl-delay: 9"
    load(tmp_path, site, rows="div.quote", fields=FIELDS, next="li.next a", delay=2.5, cache_age="0s")
    assert pauses[1:] == [9.0, 9.0]


def test_a_busy_server_is_asked_again_when_it_says(tmp_path, site, pauses):
    answers = iter([(429, "", {"Retry-After": "3"}), (503, "", {}), (200, None, {}), (200, "<h1>1</h1>", {})])
    site.answer = lambda path: (404, "", {}) if path == "/robots.txt" else next(answers)
    assert load(tmp_path, site, fields={"t": "h1"}, delay=0).height == 1
    assert pauses == [3.0, 1.0, 2.0]


def test_a_server_that_keeps_failing_is_named(tmp_path, site):
    site.answer = lambda path: (404, "", {}) if path == "/robots.txt" else (500, "", {})
    with pytest.raises(DataError, match=r"cannot be had: 500 Internal Server Error 4 times: 'http://127.*/'"):
        load(tmp_path, site, fields={"t": "h1"})


def test_pages_are_kept_and_asked_for_again_only_if_they_changed(tmp_path, site):
    site.answer = lambda path: (
        (404, "", {})
        if path == "/robots.txt"
        else (304, "", {"ETag": '"1"'})
        if site.headers[-1].get("If-None-Match") == '"1"'
        else (200, "<h1>1</h1>", {"ETag": '"1"'})
    )
    hours = clock.VirtualClock(datetime(2013, 1, 1, tzinfo=UTC))
    options = {"fields": {"t": "h1"}, "cache_age": "1h"}
    with clock.use_clock(hours):
        first = load(tmp_path, site, **options)
        assert load(tmp_path, site, **options).equals(first)
        assert site.paths() == ["/"]
        hours.advance(timedelta(hours=2))
        assert load(tmp_path, site, **options).equals(first)  # the same content, and so the same time
    assert site.paths() == ["/", "/"]


def test_a_changed_page_has_another_fingerprint(tmp_path, site):
    site.pages["/"] = "<h1>1</h1>"
    sources = declared(site, fields={"t": "h1"}, cache_age="0s")
    first = resolve_source("s", root=tmp_path, sources=sources).fingerprint
    assert resolve_source("s", root=tmp_path, sources=sources).fingerprint == first
    site.pages["/"] = "<h1>2</h1>"
    assert resolve_source("s", root=tmp_path, sources=sources).fingerprint != first


def _crawl(root: Path, sources: dict) -> None:
    http_patience.wait = lambda seconds: None
    resolve_source("s", root=root, sources=sources)


def test_a_killed_crawl_goes_on_where_it_was(tmp_path, site):
    three_pages(site)
    reached, go_on = threading.Event(), threading.Event()

    def answer(path: str) -> object:
        if path == "/?page=3" and not go_on.is_set():
            reached.set()
            go_on.wait(30)
        return site.pages.get(path, (404, "", {}))

    site.answer = answer
    sources = declared(site, rows="div.quote", fields=FIELDS, next="li.next a")
    child = multiprocessing.get_context("spawn").Process(target=_crawl, args=(tmp_path, sources))
    child.start()
    assert reached.wait(60)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    go_on.set()
    assert load(tmp_path, site, rows="div.quote", fields=FIELDS, next="li.next a").height == 6
    assert sorted(site.paths()) == ["/", "/?page=2", "/?page=3", "/?page=3"]


def test_pages_that_never_end_are_bounded(tmp_path, site):
    site.answer = lambda path: (
        f'<h1>x</h1><a class=n href="{path}x">next</a>' if path != "/robots.txt" else (404, "", {})
    )
    options = {"fields": {"t": "h1"}, "next": "a.n"}
    with pytest.warns(UserWarning, match=r"up to max_pages = 5: 1 more pages are linked, the first is http.*/xxxxx$"):
        assert load(tmp_path, site, max_pages=5, **options).height == 5
    with pytest.raises(DataError, match="is one of more than 100 pages"):
        load(tmp_path, site, **options)


def test_pages_that_lead_in_a_circle_end(tmp_path, site):
    site.pages["/"], site.pages["/b"] = "<h1>a</h1><a href=/b>n</a>", '<h1>b</h1><a href="/#top">n</a>'
    assert load(tmp_path, site, fields={"t": "h1"}, next="a")["t"].to_list() == ["a", "b"]


def test_another_host_is_not_asked(tmp_path, site):
    site.pages["/"] = '<h1>a</h1><a href="http://localhost:1/x">n</a>'
    assert load(tmp_path, site, fields={"t": "h1"}, next="a").height == 1
    site.pages["/"] = (302, "", {"Location": "http://localhost:1/x"})
    with pytest.raises(DataError, match="leads to another host: 'http://localhost:1/x'"):
        load(tmp_path, site, fields={"t": "h1"}, cache_age="0s")


def test_a_redirection_is_followed_and_noted(tmp_path, site):
    site.pages["/"], site.pages["/new"] = (301, "", {"Location": "/new"}), "<h1>a</h1>"
    assert load(tmp_path, site, fields={"t": "h1"})["_url"].to_list() == [f"{site.url}/new"]
    site.pages["/"] = (302, "", {"Location": "/"})
    with pytest.raises(DataError, match="for more than 10 hops"):
        load(tmp_path, site, fields={"t": "h1"}, cache_age="0s")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": "div.q", "fields": {"t": "h1"}}, r"has nothing that rows = 'div.q' selects: 'http://127"),
        ({"table": "1"}, r"has nothing that table = '1' selects: 'http://127"),
        ({"fields": {"t": "h1"}, "follow": "a.x"}, r"no links that follow = 'a.x' selects"),
    ],
)
def test_a_selector_that_selects_nothing_is_named(tmp_path, site, options, message):
    site.pages["/"] = "<h1>a</h1>"
    with pytest.raises(DataError, match=message):
        load(tmp_path, site, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fields": {"t": "h1[["}}, "not a CSS selector: 'h1\\[\\['"),
        ({}, "needs either fields"),
        ({"fields": {"t": "h1"}, "table": "1"}, "needs either fields"),
        ({"fields": {"_url": "h1"}}, "named like columns that tell where a row comes from"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path, site, options, message):
    site.pages["/"] = "<h1>a</h1>"
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, site, **options)


def test_a_value_that_a_row_lacks_is_missing_there(tmp_path, site):
    site.pages["/"] = "<p><b>1</b><i>x</i></p><p><b></b></p><p><i> y<br>z </i></p>"
    frame = load(tmp_path, site, rows="p", fields={"b": "b", "i": "i", "all": "i[]"}, provenance=False)
    assert frame.to_dicts() == [
        {"b": 1, "i": "x", "all": ["x"]},
        {"b": None, "i": None, "all": []},
        {"b": None, "i": "y z", "all": ["y z"]},
    ]


def test_the_page_itself_can_be_the_row(tmp_path, site):
    site.pages["/"] = "<html lang=en><title>no</title><h1>A</h1><script type=data>{1}</script>text</html>"
    fields = {"lang": "@lang", "all": "", "data": "script"}
    frame = load(tmp_path, site, fields=fields, provenance=False)
    assert frame.to_dicts() == [{"lang": "en", "all": "A text", "data": "{1}"}]


def test_an_empty_page_has_no_rows(tmp_path, site):
    site.pages["/"] = ""
    with pytest.raises(DataError, match="has nothing that rows = 'p' selects"):
        load(tmp_path, site, rows="p", fields={"t": "b"})


def test_damaged_pages_are_read_as_browsers_read_them(tmp_path, site):
    site.pages["/"] = (
        "<div>" * 3 + "</table><p class=a>one<p class=a>two<script>var x = '<p class=a>no'</script>" + "<b>" * 20_000
    )
    assert load(tmp_path, site, rows="p.a", fields={"t": ""}, provenance=False)["t"].to_list() == ["one", "two"]


def test_a_page_that_is_too_large_or_unpacks_without_end(tmp_path, site):
    site.pages["/"] = (200, gzip.compress(b"<p>" + b"x" * 3_000_000), {"Content-Encoding": "gzip"})
    with pytest.raises(DataError, match="is larger than 1,000,000 bytes: 'http://127"):
        load(tmp_path, site, fields={"t": "p"}, max_bytes=1_000_000)


def test_what_is_no_page_is_refused(tmp_path, site):
    site.pages["/"] = (200, "{}", {"Content-Type": "application/json; charset=utf-8"})
    with pytest.raises(DataError, match="is no web page but application/json"):
        load(tmp_path, site, fields={"t": "p"})


def test_encodings(tmp_path, site):
    site.pages["/"] = (200, "<p>caf\u00e9 \u20ac".encode("cp1252"), {"Content-Type": "text/html; charset=ISO-8859-1"})
    site.pages["/meta"] = (200, "<meta charset=shift_jis><p>\u65e5\u672c".encode("shift_jis"), {})
    site.pages["/wrong"] = (200, "<p>caf\u00e9".encode("cp1252"), {})
    assert load(tmp_path, site, fields={"t": "p"})["t"].to_list() == ["caf\u00e9 \u20ac"]
    assert load(tmp_path, site, "/meta", fields={"t": "p"})["t"].to_list() == ["\u65e5\u672c"]
    with pytest.raises(DataError, match=r"is not in its encoding: 'utf-8' codec can't decode byte 0xe9.*/wrong"):
        load(tmp_path, site, "/wrong", fields={"t": "p"})
    assert load(tmp_path, site, "/wrong", fields={"t": "p"}, encoding="cp1252")["t"].to_list() == ["caf\u00e9"]


def test_types_are_those_that_are_declared(tmp_path, site):
    site.pages["/"] = "<p><b>007</b><i>2013-01-01</i></p>"
    fields = {"b": "b", "i": "i"}
    frame = load(tmp_path, site, rows="p", fields=fields, schema={"b": "string", "i": "date"}, provenance=False)
    assert frame.rows() == [("007", datetime(2013, 1, 1).date())]
    with pytest.raises(SchemaError, match="column 'i' of source 's'"):
        load(tmp_path, site, rows="p", fields=fields, schema={"i": "int64"})


def test_links_of_other_schemes_are_no_pages(tmp_path, site):
    site.pages["/"] = '<h1>a</h1><a href="javascript:void(0)">n</a><a href="mailto:a@b.c">m</a>'
    assert load(tmp_path, site, fields={"t": "h1", "to": "a@href[]"}, next="a").height == 1


def test_the_password_of_an_address_is_not_shown(tmp_path, site, monkeypatch):
    monkeypatch.setenv("SITE_TOKEN", "s3cret-token")
    with pytest.raises(DataError) as caught:
        load(tmp_path, site, "/x?token=${env:SITE_TOKEN}", fields={"t": "h1"})
    assert "s3cret" not in str(caught.value)
    assert "404" in str(caught.value)
    site.pages["/x?token=s3cret-token"] = "<h1>a</h1>"
    frame = load(tmp_path, site, "/x?token=${env:SITE_TOKEN}", fields={"t": "h1"})
    assert "s3cret" not in json.dumps(frame["_url"].to_list())
