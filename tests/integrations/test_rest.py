"""An API must be read to its last page, politely, whatever it answers, and never for ever; secrets stay unseen."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import polars as pl
import pytest
from http_server import serving

from tidemill.core.errors import ConfigError, DataError, SchemaError
from tidemill.data.read import read, resolve_source, scan_source
from tidemill.data.sources.source import Window
from tidemill.engine import pipeline
from tidemill.integrations import http_patience
from tidemill.project import load_project, use_project
from tidemill.store import open_store

ORDERS = [{"id": number, "updated_at": f"2013-01-0{number}T00:00:00Z"} for number in range(1, 6)]


class Request:
    """What was asked: path, parameters, headers and the form of a POST."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        self.path, self.query, self.headers = parts.path, dict(parse_qsl(parts.query)), handler.headers
        length = int(handler.headers.get("Content-Length") or 0)
        text = handler.rfile.read(length).decode()
        self.form = dict(parse_qsl(text))
        is_json = handler.headers.get("Content-Type") == "application/json"
        self.body = json.loads(text) if is_json else None
        self.method = handler.command


class Api:
    """A real server on this machine; a test says what it answers: body, or status, body and headers."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], object] = lambda request: ORDERS
        self.url = ""


@pytest.fixture
def api() -> Iterator[Api]:
    served = Api()

    def answer(handler: BaseHTTPRequestHandler) -> object:
        request = Request(handler)
        served.requests.append(request)
        answered = served.answer(request)
        # Of status 0, the connection breaks.
        return None if isinstance(answered, tuple) and answered[0] == 0 else answered

    with serving(answer) as served.url:
        yield served


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """The pauses that the client would make, without making them."""
    made: list[float] = []
    monkeypatch.setattr(http_patience, "wait", lambda seconds: made.append(seconds) if seconds > 0 else None)
    return made


def load(root: Path, api: Api, **raw) -> pl.DataFrame:
    sources = {"s": {"uri": api.url, "resource": "orders", **raw}}
    return scan_source(resolve_source("s", root=root, sources=sources), root=root).collect()


def by_page(request: Request) -> list[dict]:
    page = int(request.query.get("page", 1))
    return ORDERS[(page - 1) * 2 : page * 2]


def by_offset(request: Request) -> dict:
    start, limit = int(request.query["offset"]), int(request.query["limit"])
    return {"data": {"items": ORDERS[start : start + limit]}}


def by_cursor(request: Request) -> dict:
    start = int(request.query.get("cursor", 0))
    return {"items": ORDERS[start : start + 2], "meta": {"next": start + 2 if start + 2 < 5 else None}}


def by_link(request: Request) -> tuple:
    page = int(request.query.get("p", 1))
    return 200, ORDERS[(page - 1) * 2 : page * 2], {"Link": f'</orders?p={page + 1}>; rel="next"'} if page < 3 else {}


def by_url(request: Request) -> dict:
    page = int(request.query.get("p", 1))
    return {"items": ORDERS[(page - 1) * 2 : page * 2], "next": f"/orders?p={page + 1}" if page < 3 else None}


@pytest.mark.parametrize(
    ("answer", "pagination", "records", "requests"),
    [
        (lambda request: ORDERS, None, "", 1),
        (by_page, {"kind": "page"}, "", 4),
        (by_page, {"kind": "page", "size": 2, "size_param": "per_page"}, "", 3),
        (by_offset, {"kind": "offset", "limit": 2}, "data.items", 3),
        (by_cursor, {"kind": "cursor", "next": "meta.next"}, "items", 3),
        (by_link, {"kind": "link"}, "", 3),
        (by_url, {"kind": "next_url", "next": "next"}, "items", 3),
    ],
)
def test_every_pagination_reaches_the_last_record(tmp_path, api, answer, pagination, records, requests):
    api.answer = answer
    raw = {"params": {"status": "done"}, **({"pagination": pagination} if pagination else {})}
    table = load(tmp_path, api, **raw, **({"records": records} if records else {}))
    assert table["id"].to_list() == [1, 2, 3, 4, 5]
    assert table["updated_at"].dtype == pl.Datetime("us", "UTC")
    assert len(api.requests) == requests
    assert api.requests[0].path == "/orders"
    assert api.requests[0].query["status"] == "done"


SECRET = "s3cret-of-the-api"
BASIC = "Basic " + base64.b64encode(b"ann:s3cret-of-the-api").decode()


@pytest.mark.parametrize(
    ("auth", "accepts"),
    [
        ({"kind": "bearer", "token": "${env:API_SECRET}"}, lambda r: r.headers["Authorization"] == f"Bearer {SECRET}"),
        (
            {"kind": "basic", "user": "ann", "password": "${env:API_SECRET}"},
            lambda r: r.headers["Authorization"] == BASIC,
        ),
        ({"kind": "key", "name": "X-Key", "value": "${env:API_SECRET}"}, lambda r: r.headers["X-Key"] == SECRET),
        (
            {"kind": "key", "name": "key", "value": "${env:API_SECRET}", "place": "query"},
            lambda r: r.query.get("key") == SECRET,
        ),
    ],
)
def test_it_signs_in_and_shows_no_secret(tmp_path, api, monkeypatch, auth, accepts):
    monkeypatch.setenv("API_SECRET", SECRET)
    api.answer = lambda request: ORDERS if accepts(request) else (403, "no", {})
    assert load(tmp_path, api, auth=auth).height == 5
    api.answer = lambda request: (403, SECRET, {})
    with pytest.raises(DataError, match="the API of source 's' answered 403 Forbidden") as caught:
        load(tmp_path, api, auth=auth)
    assert SECRET not in str(caught.value)


def test_oauth2_client_credentials_are_renewed_when_the_token_expires(tmp_path, api):
    tokens = iter(["first", "second"])
    valid = {"second"}

    def answer(request: Request) -> object:
        if request.path == "/token":
            assert request.form == {"grant_type": "client_credentials", "client_id": "me", "client_secret": "mine"}
            return {"access_token": next(tokens)}
        return ORDERS if request.headers["Authorization"].removeprefix("Bearer ") in valid else (401, "expired", {})

    api.answer = answer
    auth = {"kind": "oauth2", "token_url": f"{api.url}/token", "client_id": "me", "client_secret": "mine"}
    assert load(tmp_path, api, auth=auth).height == 5
    assert [request.path for request in api.requests] == ["/token", "/orders", "/token", "/orders"]
    api.answer = lambda request: (400, "no", {})
    with pytest.raises(DataError, match="gave no token: 400"):
        load(tmp_path, api, auth=auth)


def test_it_waits_as_long_as_it_is_asked_and_then_goes_on(tmp_path, api, pauses):
    past = format_datetime(datetime(2013, 1, 1, tzinfo=UTC), usegmt=True)
    answers = [(429, "", {"Retry-After": "7"}), (503, "", {"Retry-After": past}), (0, "", {}), (500, "", {}), ORDERS]
    api.answer = lambda request: answers.pop(0)
    assert load(tmp_path, api).height == 5
    assert pauses == [7.0, 2.0, 4.0]


def test_it_gives_up(tmp_path, api, pauses):
    api.answer = lambda request: (500, "", {})
    with pytest.raises(DataError, match=r"answered 500 Internal Server Error 3 times: .*/orders"):
        load(tmp_path, api, retries=2)
    assert len(api.requests) == 3
    api.answer = lambda request: (429, "", {"Retry-After": "3600"})
    with pytest.raises(DataError, match="asks to wait 3600 s"):
        load(tmp_path, api)
    assert len(api.requests) == 4


def test_a_server_that_says_nothing_is_not_waited_for(tmp_path, api):
    silent = threading.Event()
    api.answer = lambda request: silent.wait(20) and (200, [], {})
    try:
        with pytest.raises(DataError, match=r"answered nothing \(ReadTimeout\) 2 times"):
            load(tmp_path, api, timeout=0.05, retries=1)
    finally:
        silent.set()


def test_429_then_500_then_html_is_told_as_it_was(tmp_path, api):
    answers = [(429, "", {}), (500, "", {}), (200, "<html>Sign in</html>", {"Content-Type": "text/html"})]
    api.answer = lambda request: answers.pop(0)
    with pytest.raises(DataError, match=r"answered no JSON but text/html: '<html>Sign in</html>'"):
        load(tmp_path, api)


def test_a_refusal_says_where_with_which_status_and_why(tmp_path, api):
    api.answer = lambda request: (422, '{"error":\n  "unknown field: sice"}', {"Content-Type": "application/json"})
    with pytest.raises(DataError, match=r"answered 422 .*, saying '\{\"error\": \"unknown field: sice\"\}': .*/orders"):
        load(tmp_path, api)
    api.answer = lambda request: (503, "<html>down for maintenance</html>", {})
    with pytest.raises(
        DataError, match=r"answered 503 .* 2 times, saying '<html>down for maintenance</html>': .*/orders"
    ):
        load(tmp_path, api, retries=1)


def test_a_query_that_is_posted_turns_its_pages_in_the_body(tmp_path, api):
    def search(request: Request) -> dict:
        assert request.method == "POST"
        assert request.query == {"lang": "en", "deep": "true"}
        assert request.body["query"] == {"state": "open"}
        start = request.body["offset"]
        return {"total": 5, "hits": ORDERS[start : start + request.body["limit"]]}

    api.answer = search
    table = load(
        tmp_path, api, method="POST", body={"query": {"state": "open"}}, params={"lang": "en", "deep": True},
        pagination={"kind": "offset", "limit": 2, "total": "total"}, records="hits",
    )  # fmt: skip
    assert table["id"].to_list() == [1, 2, 3, 4, 5]
    assert [request.body["offset"] for request in api.requests] == [0, 2, 4]
    with pytest.raises(ConfigError, match="method must be GET or POST: 'DELETE'"):
        load(tmp_path, api, method="DELETE")
    with pytest.raises(ConfigError, match="has a body, which GET does not send"):
        load(tmp_path, api, body={"a": 1})


def test_a_total_ends_the_pages_also_short_ones_and_must_be_reached(tmp_path, api):
    sizes = [2, 1, 2]  # the API filters pages after cutting them, as some do

    def short(request: Request) -> dict:
        page = int(request.query["page"])
        start = sum(sizes[: page - 1])
        return {"meta": {"total": 5}, "items": ORDERS[start : start + sizes[page - 1]] if page <= 3 else []}

    api.answer = short
    how = {"pagination": {"kind": "page", "size": 2, "size_param": "n", "total": "meta.total"}, "records": "items"}
    assert load(tmp_path, api, **how)["id"].to_list() == [1, 2, 3, 4, 5]
    assert len(api.requests) == 3
    sizes[2] = 1
    with pytest.raises(DataError, match="ended 1 records before the total that it tells"):
        load(tmp_path, api, **how)
    api.answer = lambda request: {"meta": {}, "items": ORDERS}
    with pytest.raises(DataError, match=r"answered no number at 'meta.total': None"):
        load(tmp_path, api, **how)


def test_a_rate_is_kept(tmp_path, api, pauses):
    api.answer = by_page
    load(tmp_path, api, pagination={"kind": "page"}, rate_limit=0.01)
    assert len(pauses) == 3
    assert all(90 < pause <= 100 for pause in pauses)


NEXT = {"pagination": {"kind": "next_url", "next": "next"}, "records": "items"}
CURSOR = {"pagination": {"kind": "cursor", "next": "next"}, "records": "items"}
PAGE = {"pagination": {"kind": "page"}}


@pytest.mark.parametrize(
    ("answer", "raw", "words"),
    [
        (lambda request: ORDERS, PAGE, "the same page again and again"),
        (lambda request: {"items": ORDERS, "next": 1}, CURSOR, "the same page again and again"),
        (lambda request: {"items": [], "next": "/orders"}, NEXT, "the same page again and again"),
        (lambda request: [{"n": request.query["page"]}], {**PAGE, "max_pages": 7}, "has more than 7 pages"),
        (lambda request: {"items": [], "next": "http://elsewhere.example/"}, NEXT, "points to another host"),
        (lambda request: {"data": ORDERS}, {}, "answered no list of records at 'the top'; the answer has: data"),
        (lambda request: {"data": ORDERS}, {"records": "items"}, "no list of records at 'items'"),
        (lambda request: [*ORDERS, 7], {}, "a record that is no object but int"),
        (lambda request: (302, "", {"Location": "/login"}), {}, "answered 302 Found"),
        (lambda request: [{"id": float("nan")}], {}, "answered NaN, which no JSON has.* write null"),
        (lambda request: [{"id": float("-inf")}], {}, "answered -Infinity, which no JSON has"),
    ],
)
def test_what_would_never_end_or_is_no_table_is_refused(tmp_path, api, answer, raw, words):
    api.answer = answer
    with pytest.raises(DataError, match=words):
        load(tmp_path, api, **raw)
    assert len(api.requests) <= 7


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"auth": {"kind": "magic"}}, "auth has an unknown kind: 'magic'"),
        ({"auth": {"kind": "bearer"}}, "auth of kind 'bearer' needs other keys"),
        ({"pagination": {"kind": "magic"}}, "pagination has an unknown kind"),
        ({"pagination": {"kind": "cursor"}}, r"wrong or missing keys: \['next'\]"),
        ({"pagination": {"kind": "page", "sise": 2}}, r"wrong or missing keys: \['sise'\]"),
    ],
)
def test_mistakes_in_the_declaration_are_named(tmp_path, api, raw, words):
    with pytest.raises(ConfigError, match=words):
        load(tmp_path, api, **raw)
    assert api.requests == []


def test_types_come_from_every_record_and_may_be_fixed(tmp_path, api):
    api.answer = lambda request: [{"a": None, "code": "007"}, {"a": 1, "b": {"c": 2}}, {"a": 2.5}]
    table = load(tmp_path, api)
    assert table.schema == {"a": pl.Float64, "code": pl.String, "b": pl.Struct({"c": pl.Int64})}
    assert load(tmp_path, api, schema={"a": "string", "extra": "int64"})["extra"].null_count() == 3
    api.answer = lambda request: [{"code": "x"}]
    with pytest.raises(SchemaError, match="column 'code' of source 's' does not hold values of its declared type"):
        load(tmp_path, api, schema={"code": "int64"})
    api.answer = lambda request: []
    assert load(tmp_path, api, schema={"a": "float64"}).schema == {"a": pl.Float64}


def test_a_pinned_answer_is_read_again_from_here_or_must_be_the_same(tmp_path, api):
    sources = {"s": {"uri": api.url, "resource": "orders"}}
    pinned = resolve_source("s", root=tmp_path, sources=sources)
    assert pinned.fingerprint == resolve_source("s", root=tmp_path, sources=sources).fingerprint
    asked = len(api.requests)
    assert scan_source(pinned, root=tmp_path).collect().height == 5
    assert len(api.requests) == asked
    for kept in tmp_path.rglob("*.ndjson"):
        kept.unlink()
    api.answer = lambda request: ORDERS[:2]
    with pytest.raises(DataError, match="changed after the run was planned"):
        scan_source(pinned, root=tmp_path)


def test_incremental_runs_ask_for_what_is_new_and_keep_secrets_out_of_every_record(tmp_path, api, monkeypatch):
    monkeypatch.setenv("API_SECRET", SECRET)
    orders = ORDERS[:2]
    # The API answers from the moment on, that moment included, as many do.
    api.answer = lambda request: [o for o in orders if o["updated_at"] >= request.query.get("since", "")]
    (tmp_path / "tidemill.toml").write_text(
        f"[project]\nname = 'tests'\n[sources.s]\nuri = '{api.url}'\nresource = 'orders'\ncursor = 'updated_at'\n"
        "cursor_param = 'since'\nauth = { kind = 'bearer', token = '${env:API_SECRET}' }\n"
    )

    @pipeline
    def flow():
        return read("s", columns=["id"])

    with (
        open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts")) as store,
        use_project(load_project(tmp_path)),
    ):
        placed = flow.using(store=store, project="tests", root=tmp_path)
        assert placed().collect()["id"].to_list() == [1, 2]
        assert placed().collect()["id"].to_list() == []
        orders.append(ORDERS[2])
        assert placed().collect()["id"].to_list() == [3]
    assert [request.query.get("since") for request in api.requests] == [
        None,
        "2013-01-02T00:00:00Z",
        "2013-01-02T00:00:00Z",
    ]
    for kept in tmp_path.rglob("*"):
        assert not kept.is_file() or SECRET.encode() not in kept.read_bytes(), kept


def test_a_window_without_records_stays_where_it_is(tmp_path, api):
    api.answer = lambda request: []
    window = Window("updated_at", datetime(2013, 1, 1, tzinfo=UTC))
    sources = {"s": {"uri": api.url, "resource": "orders"}}
    pinned = resolve_source("s", root=tmp_path, sources=sources, window=window)
    assert pinned.window.upto is None
    with pytest.warns(UserWarning, match=r"gave no records, .* but \['id', 'updated_at'\]: declare them"):
        table = scan_source(pinned, root=tmp_path, columns=["id"]).collect()
    assert table.shape == (0, 1)


def test_an_answer_without_records_says_that_its_columns_are_not_known(tmp_path, api):
    """Else the next step fails for a missing column, and nobody knows why."""
    api.answer = lambda request: []
    with pytest.warns(UserWarning, match="gave no records, so that nothing is known of its columns"):
        assert load(tmp_path, api).shape == (0, 0)
    assert load(tmp_path, api, schema={"id": "int64"}).schema == {"id": pl.Int64}
