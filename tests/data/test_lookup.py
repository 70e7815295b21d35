"""A lookup must ask for what it needs, once, keep what it got, and say what it did not get."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import polars as pl
import pytest
from http_server import serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.core.errors import ConfigError, DataError, SchemaError, UsageError
from tidemill.data import answers
from tidemill.data import lookup as module
from tidemill.data.lookup import lookup
from tidemill.data.sources.source import Source
from tidemill.engine import pipeline
from tidemill.integrations import http_patience
from tidemill.project import load_project, use_project
from tidemill.store import open_store

AIRPORTS = {
    "LYS": {"faa": "LYS", "name": "Lyon", "runways": 2},
    "SJU": {"faa": "SJU", "name": "San Juan", "runways": 2},
}


class Api:
    """A real server on this machine; a test says what it answers to a path and its parameters."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[str, dict[str, str]], object] = airport
        self.url = ""
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()


def airport(path: str, query: dict[str, str]) -> object:
    found = AIRPORTS.get(unquote(path.rpartition("/")[2]))
    return (404, {"error": "no such airport"}) if found is None else found


@pytest.fixture
def api() -> Iterator[Api]:
    served = Api()

    def answer(handler: BaseHTTPRequestHandler) -> object:
        parts = urlsplit(handler.path)
        with served.lock:
            served.asked.append(handler.path)
            served.headers.append(dict(handler.headers))
            served.at_once += 1
            served.most_at_once = max(served.most_at_once, served.at_once)
        try:
            return served.answer(parts.path, dict(parse_qsl(parts.query)))
        finally:
            with served.lock:
                served.at_once -= 1

    with serving(answer) as served.url:
        yield served


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """A project that declares nothing; retries do not wait."""
    (tmp_path / "tidemill.toml").write_text("[project]\nname = 'tests'\n")
    monkeypatch.setattr(http_patience, "_FIRST_PAUSE", 0.0)
    with use_project(load_project(tmp_path)):
        yield tmp_path


def flights(*codes: str | None) -> pl.DataFrame:
    return pl.DataFrame({"dest": codes}, schema={"dest": pl.String}).with_row_index("row")


def test_an_api_is_asked_once_for_each_key_and_every_row_stays_in_its_place(api, folder):
    table = flights("SJU", "LYS", None, "XXX", "SJU", "XXX")
    out = lookup(table, f"{api.url}/airports/{{faa}}", {"dest": "faa"}, prefix="dest_")
    assert out.table.select("row", "dest").equals(table)
    assert out.table["dest_name"].to_list() == ["San Juan", "Lyon", None, None, "San Juan", None]
    assert sorted(api.asked) == ["/airports/LYS", "/airports/SJU", "/airports/XXX"]
    report = out.report
    assert (report.kind, report.rows, report.matched, report.missing_keys) == ("lookup", 6, 3, 1)
    assert (report.unmatched, report.asked, report.remembered) == ((("XXX", 2),), 3, 0)
    again = lookup(table, f"{api.url}/airports/{{faa}}", {"dest": "faa"}, prefix="dest_")
    assert len(api.asked) == 3  # also that there is no XXX is remembered
    assert again.table.equals(out.table)
    assert (again.report.asked, again.report.remembered) == (0, 3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.none(), st.sampled_from(["LYS", "SJU", "a/b", "ü ?&=#", "%2e", "x,y"])), max_size=8))
def test_it_is_a_key_join_with_what_the_api_knows_whatever_is_in_a_key(api, folder, codes):
    known = {**AIRPORTS, "a/b": {"name": "slash"}, "ü ?&=#": {"name": "signs"}}
    api.answer = lambda path, query: known.get(unquote(path.removeprefix("/airports/")), (404, {}))
    table = flights(*codes)
    out = lookup(table, f"{api.url}/airports/{{faa}}", {"dest": "faa"}, columns=["name"], max_age="0s")
    assert out.table.select("row", "dest").equals(table)
    assert out.table["name"].to_list() == [known.get(code, {}).get("name") for code in codes]


def test_an_answer_is_asked_for_again_when_it_is_too_old(api, folder, monkeypatch):
    source = f"{api.url}/airports/{{faa}}"
    now = [1_000_000.0]
    monkeypatch.setattr(answers, "lease_now", lambda: now[0])
    lookup(flights("LYS"), source, {"dest": "faa"}, max_age="1d")
    now[0] += 86_399
    lookup(flights("LYS"), source, {"dest": "faa"}, max_age="1d")
    assert len(api.asked) == 1
    now[0] += 2
    lookup(flights("LYS"), source, {"dest": "faa"}, max_age=None)
    assert len(api.asked) == 1
    lookup(flights("LYS"), source, {"dest": "faa"}, max_age="1d")
    assert len(api.asked) == 2


def test_keys_in_batches_and_as_parameters(api, folder):
    def some(path: str, query: dict[str, str]) -> object:
        return {"data": {"items": [AIRPORTS[code] for code in query["codes"].split(",") if code in AIRPORTS]}}

    api.answer = some
    source = Source("s", api.url, options={"resource": "find", "params": {"codes": "{faa}"}, "records": "data.items"})
    out = lookup(flights("LYS", "AAA", "SJU", "BBB", "CCC"), source, {"dest": "faa"}, batch=2)
    assert out.table["runways"].to_list() == [2, None, 2, None, None]
    assert [path.replace("%2C", ",") for path in sorted(api.asked)] == [
        "/find?codes=CCC", "/find?codes=LYS,AAA", "/find?codes=SJU,BBB",
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"cannot be asked for the key 'x,y' with others.*batch=1"):
        lookup(flights("x,y"), source, {"dest": "faa"}, batch=2)
    api.answer = lambda path, query: {"data": {"items": [{"code": "LYS"}, {"code": "SJU"}]}}
    with pytest.raises(DataError, match="2 records without 'faa', which would tell whose they are"):
        lookup(flights("LYS", "SJU"), source, {"dest": "faa"}, batch=2, max_age="0s")
    api.answer = lambda path, query: {"data": {"items": [AIRPORTS["LYS"], AIRPORTS["LYS"]]}}
    with pytest.raises(DataError, match="has 2 records for the key 'LYS'"):
        lookup(flights("LYS"), source, {"dest": "faa"}, max_age="0s")


def test_whole_numbers_as_keys_and_types_that_hold_whatever_was_found(api, folder):
    api.answer = lambda path, query: {"id": 7, "seen": "2026-01-02T03:04:05Z"} if path == "/7" else (404, {})
    source = Source("s", f"{api.url}/{{id}}", options={"schema": {"seen": "timestamp[us, UTC]", "kind": "string"}})
    table = pl.DataFrame({"id": [7, 8]})
    out = lookup(table, source, "id")
    assert out.table.schema == {
        "id": pl.Int64, "seen": pl.Datetime("us", "UTC"), "kind": pl.String,
    }  # fmt: skip
    assert out.table["seen"][0].isoformat() == "2026-01-02T03:04:05+00:00"
    assert lookup(table.filter(pl.col("id") == 8), source, "id").table.schema == out.table.schema
    nothing = lookup(flights("XXX"), f"{api.url}/{{faa}}", {"dest": "faa"}, columns=["name"])
    assert nothing.table["name"].to_list() == [None]
    assert lookup(flights(), f"{api.url}/{{faa}}", {"dest": "faa"}).report.match_rate == 1.0


def test_an_error_names_url_and_key_and_keeps_the_answers_that_came_before(api, folder):
    def failing(path: str, query: dict[str, str]) -> object:
        return (500, "broken") if path.endswith("BAD") else airport(path, query)

    api.answer = failing
    source = Source("s", f"{api.url}/airports/{{faa}}?api_key=s3cret", options={"retries": 1})
    with pytest.raises(DataError) as caught:
        lookup(flights("LYS", "SJU", "BAD"), source, {"dest": "faa"}, concurrency=1)
    message = str(caught.value)
    assert "answered 500 Internal Server Error 2 times, saying 'broken'; it was asked for the key 'BAD'" in message
    assert "/airports/BAD?api_key=***" in message
    asked = len(api.asked)
    out = lookup(flights("LYS", "SJU", "BAD"), source, {"dest": "faa"}, on_error="miss")
    assert len(api.asked) == asked + 2  # only the one that failed, and its retry
    assert (out.report.matched, out.report.failures) == (2, 1)
    assert out.report.failed[0][0] == "BAD"
    assert "answered 500" in out.report.failed[0][1]
    api.answer = airport
    assert lookup(flights("BAD"), source, {"dest": "faa"}).report.asked == 1  # an error is no answer


def test_answers_that_are_no_record_are_errors(api, folder):
    source = f"{api.url}/{{faa}}"
    for body, message in (("<html>", "answered no JSON"), (["a"], "answered no record"), (403, "answered 403")):
        api.answer = lambda path, query, body=body: (body, "no") if isinstance(body, int) else body
        with pytest.raises(DataError, match=message):
            lookup(flights("LYS"), source, {"dest": "faa"})
    nested = Source("s", source, options={"records": "data"})
    api.answer = lambda path, query: {"dato": []}
    with pytest.raises(DataError, match="has no 'data' in its answer"):
        lookup(flights("LYS"), nested, {"dest": "faa"})
    for code in ("", ".", ".."):  # the path would be another one
        with pytest.raises(DataError, match="cannot be asked for the key"):
            lookup(flights(code), source, {"dest": "faa"})


def test_an_api_that_knows_nothing_at_all_is_suspected(api, folder):
    with pytest.warns(UserWarning, match=r"knows none of the 20 keys .*: is its address right\?"):
        lookup(flights(*[f"X{number}" for number in range(20)]), f"{api.url}/wrong/{{faa}}", {"dest": "faa"})


def test_requests_at_once_are_bounded(api, folder):
    barrier = threading.Barrier(3)

    def together(path: str, query: dict[str, str]) -> object:
        barrier.wait(10)
        return {"name": path}

    api.answer = together
    lookup(flights(*[f"X{number}" for number in range(9)]), f"{api.url}/{{faa}}", {"dest": "faa"}, concurrency=3)
    assert api.most_at_once == 3


def test_secrets_are_sent_and_never_kept_and_keys_are_never_taken_for_them(api, folder, monkeypatch):
    monkeypatch.setenv("API_SECRET", "s3cret-of-the-test")
    source = Source(
        "s",
        f"{api.url}/airports/{{faa}}",
        options={
            "params": {"api_key": "${env:API_SECRET}"},
            "headers": {"X-Token": "${env:API_SECRET}", "Accept-Language": "fr"},
        },
    )
    out = lookup(flights("LYS", "${env:API_SECRET}"), source, {"dest": "faa"})
    assert out.report.matched == 1
    assert sorted(urlsplit(path).path for path in api.asked) == ["/airports/%24%7Benv%3AAPI_SECRET%7D", "/airports/LYS"]
    assert all("api_key=s3cret-of-the-test" in path for path in api.asked)
    assert all(headers["X-Token"] == "s3cret-of-the-test" for headers in api.headers)
    for kept in folder.rglob("*"):
        assert not kept.is_file() or b"s3cret-of-the-test" not in kept.read_bytes(), kept
    other = Source("s", source.uri, options={**source.options, "headers": {"Accept-Language": "de"}})
    assert lookup(flights("LYS"), other, {"dest": "faa"}).report.asked == 1  # another question


def test_a_run_that_is_killed_goes_on_from_the_answers_it_got(api, folder):
    reached = threading.Event()

    def slow(path: str, query: dict[str, str]) -> object:
        if path.endswith("X7"):
            reached.set()
            never.wait(60)
        return {"name": path}

    never = threading.Event()
    api.answer = slow
    code = f"""
        import os, polars as pl
        from tidemill.data.lookup import lookup
        table = pl.DataFrame({{"dest": [f"X{{n}}" for n in range(10)]}})
        lookup(table, "{api.url}/{{faa}}", {{"dest": "faa"}}, concurrency=1)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=folder)
    assert reached.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    never.set()
    (kept,) = (folder / ".tidemill/cache/answers").iterdir()
    with kept.open("ab") as file:
        file.write(b'\n{"key": ["X7"], "at": 1')  # as if it had been killed in the middle of a line
    api.asked.clear()
    table = flights(*[f"X{number}" for number in range(10)])
    out = lookup(table, f"{api.url}/{{faa}}", {"dest": "faa"}, concurrency=1)
    assert api.asked == ["/X7", "/X8", "/X9"]
    assert out.table["name"].to_list() == [f"/X{number}" for number in range(10)]
    assert lookup(table, f"{api.url}/{{faa}}", {"dest": "faa"}).report.remembered == 10


def test_the_file_of_answers_does_not_grow_for_ever(folder, monkeypatch):
    monkeypatch.setattr(answers, "_TIDY", 10)
    with answers.Answers(folder, "e", None) as kept:
        for number in range(100):
            kept.add(("k",), {"n": number})
        assert kept.known() == {("k",): {"n": 99}}
        kept.add(("l",), None)
        assert kept.known() == {("k",): {"n": 99}, ("l",): None}
    (path,) = (folder / ".tidemill/cache/answers").iterdir()
    assert len(path.read_text().split()) < 20


def test_a_database_is_asked_for_the_keys_only_in_batches(folder, monkeypatch):
    with sqlite3.connect(folder / "planes.db") as connection:
        connection.execute("CREATE TABLE planes (tailnum TEXT, seats INTEGER)")
        connection.executemany("INSERT INTO planes VALUES (?, ?)", [(f"N'{n}", n) for n in range(1000)])
    connection.close()
    seen = []
    scan = module.scan_source
    monkeypatch.setattr(module, "scan_source", lambda *a, **k: seen.append(k["where"]) or scan(*a, **k))
    source = Source("planes", "sqlite:///planes.db", options={"table": "planes"})
    table = pl.DataFrame({"plane": ["N'5", "N'999", "gone", None, "N'5"]})
    out = lookup(table, source, {"plane": "tailnum"}, columns=["seats"], batch=2)
    assert out.table["seats"].to_list() == [5, 999, None, None, 5]
    assert seen == ["\"tailnum\" IN ('N''5', 'N''999')", "\"tailnum\" IN ('gone')"]
    assert out.report.unmatched == (("gone", 1),)
    read = [pl.scan_parquet(kept).select(pl.len()).collect().item() for kept in folder.rglob("*.parquet")]
    assert sorted(read) == [0, 2]


def test_a_file_is_read_once_and_several_keys_work(folder):
    (folder / "prices.csv").write_text("shop,drink,price\nA,tea,2\nA,milk,1\nB,tea,3\n")
    table = pl.DataFrame({"shop": ["B", "A", "B"], "drink": ["tea", "milk", "milk"]})
    out = lookup(table, "prices.csv", ["shop", "drink"], batch=1)
    assert out.table["price"].to_list() == [3, 1, None]
    with pytest.raises(SchemaError, match="differ in type"):
        lookup(pl.DataFrame({"shop": [1]}), "prices.csv", "shop")
    (folder / "prices.csv").write_text("shop,drink,price\nA,tea,2\nA,tea,1\n")
    with pytest.raises(DataError, match="rows would multiply"):
        lookup(pl.DataFrame({"shop": ["A"], "drink": ["tea"]}), "prices.csv", ["shop", "drink"])
    assert lookup(pl.DataFrame({"shop": ["B"], "drink": ["x"]}), "prices.csv", ["shop", "drink"]).report.matched == 0


def test_mistakes_are_named(api, folder):
    with pytest.raises(ConfigError, match=r"the places for keys of the API .* are not those of on"):
        lookup(flights("LYS"), f"{api.url}/{{code}}", {"dest": "faa"})
    with pytest.raises(SchemaError, match="would replace columns"):
        lookup(flights("LYS").with_columns(name=pl.lit("x")), f"{api.url}/{{faa}}", {"dest": "faa"})
    with pytest.raises(SchemaError, match="not for these keys"):
        lookup(pl.DataFrame({"faa": [1.5]}), f"{api.url}/{{faa}}", "faa")
    for wrong in ({"batch": 0}, {"concurrency": 0}, {"on_error": "ignore"}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            lookup(flights("LYS"), f"{api.url}/{{faa}}", {"dest": "faa"}, **wrong)


def test_in_a_pipeline_it_always_looks_and_what_follows_runs_when_the_answers_differ(api, folder):
    api.answer = lambda path, query: AIRPORTS["LYS"]

    @pipeline
    def flow():
        return lookup(flights("LYS"), f"{api.url}/{{faa}}", {"dest": "faa"}, max_age="0s")

    with open_store(f"sqlite:///{folder}/store.db", artifacts=str(folder / "artifacts")) as store:
        placed = flow.using(store=store, project="tests", root=folder)
        assert placed().table["runways"].to_list() == [2]
        api.answer = lambda path, query: {**AIRPORTS["LYS"], "runways": 3}
        assert placed().table["runways"].to_list() == [3]
