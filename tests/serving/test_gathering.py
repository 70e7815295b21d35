"""A slow model under load: requests that are answered together get what each would have got alone, or its own error."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

import tidemill as tm
from tidemill.core import clock
from tidemill.core.errors import StoreUnavailableError
from tidemill.packaging.package import Package
from tidemill.serving import Predictor, predictions, start_server
from tidemill.serving.endpoint import Caller, Endpoint, score
from tidemill.serving.gathering import Gathering, TooLateError, parted
from tidemill.serving.log.framing import is_finished
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.predictor import Answer
from tidemill.serving.repository import Repository
from tidemill.serving.variants import Traffic, Variant, variant_of

PREDICT = "/v1/models/flight-delay/predict"
CLIENTS, ASKED = 24, 6


class Held(Predictor):
    """A model that answers when it is let; it knows what it was asked about at once."""

    def __init__(self, package: Package) -> None:
        self.asked: list[int] = []
        self.free = threading.Event()
        self.free.set()
        self.failing: Exception | None = None
        self.failing_over: Any = None
        super().__init__(package)
        self.asked.clear()

    def answer(self, rows: Sequence[Any]) -> Answer:
        self.asked.append(len(rows))
        assert self.free.wait(60)
        if self.failing is not None and (self.failing_over is None or self.failing_over in rows):
            raise self.failing
        return super().answer(rows)


@pytest.fixture(scope="module")
def held(packaged: Package) -> Held:
    return Held(packaged)


@pytest.fixture
def busy(held: Held) -> Iterator[Held]:
    held.free.clear()
    yield held
    held.free.set()
    held.failing = held.failing_over = None
    held.asked.clear()


def _rows(package: Package, count: int) -> list[dict[str, Any]]:
    example = package.manifest["example"]
    return [{**example, "distance": 100 + place} for place in range(count)]


async def _until_asked(model: Held, times: int) -> None:
    async with asyncio.timeout(60):
        while len(model.asked) < times:
            await asyncio.sleep(0)


async def _asked_while_busy(model: Held, rows: Sequence[Any]) -> list[Any]:
    """What becomes of one request a row: the others come while the model is busy with the first."""
    gathering = Gathering(model, 8, at_once=1)
    first = asyncio.ensure_future(gathering.answer([rows[0]]))
    await _until_asked(model, 1)
    others = [asyncio.ensure_future(gathering.answer([row])) for row in rows[1:]]
    await asyncio.sleep(0)
    model.free.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_requests_gather_while_a_model_is_busy_and_are_answered_at_once(busy: Held, packaged: Package) -> None:
    rows = _rows(packaged, 12)

    answers = asyncio.run(_asked_while_busy(busy, rows))
    assert busy.asked == [1, 8, 3]
    assert [answer.predictions for answer in answers] == [[busy.predict(row)] for row in rows]


def test_who_has_gone_or_waited_too_long_is_not_scored(busy: Held, packaged: Package) -> None:
    rows = _rows(packaged, 4)

    async def ask() -> list[Any]:
        gathering = Gathering(busy, 8, at_once=1)
        first = asyncio.ensure_future(gathering.answer([rows[0]]))
        await _until_asked(busy, 1)
        late = asyncio.ensure_future(gathering.answer([rows[1]], clock.elapsed()))
        gone = asyncio.ensure_future(gathering.answer([rows[2]]))
        stays = asyncio.ensure_future(gathering.answer([rows[3]], clock.elapsed() + 60))
        await asyncio.sleep(0)
        gone.cancel()
        busy.free.set()
        return await asyncio.gather(first, late, gone, stays, return_exceptions=True)

    first, late, gone, stays = asyncio.run(ask())
    assert busy.asked == [1, 1]
    assert isinstance(late, TooLateError)
    assert isinstance(gone, asyncio.CancelledError)
    assert [first.predictions[0], stays.predictions[0]] == [busy.predict(rows[0]), busy.predict(rows[3])]


def test_what_keeps_a_model_from_answering_is_told_to_each_who_asked_and_to_nobody_later(
    busy: Held, packaged: Package
) -> None:
    rows = _rows(packaged, 4)
    busy.failing = StoreUnavailableError("the online store is down")

    async def ask() -> list[Any]:
        gathering = Gathering(busy, 8, at_once=1)
        asked = [asyncio.ensure_future(gathering.answer([row])) for row in rows[:3]]
        await _until_asked(busy, 1)
        busy.free.set()
        told = await asyncio.gather(*asked, return_exceptions=True)
        busy.failing = None
        return [*told, await gathering.answer([rows[3]])]

    *failed, answered = asyncio.run(ask())
    assert [type(one) for one in failed] == [StoreUnavailableError] * 3
    assert answered.predictions == [busy.predict(rows[3])]


@pytest.mark.parametrize("durable", [False, True])
def test_a_request_under_way_when_its_model_is_unloaded_is_answered_and_its_record_is_finished(
    busy: Held, packaged: Package, tmp_path: Path, *, durable: bool
) -> None:
    log = PredictionLog(tmp_path, "flight-delay", durable=durable)
    slow = replace(variant_of(Predictor(packaged)), predictor=busy, slow=True)
    repository = Repository.of(Endpoint("flight-delay", Traffic((slow,)), log))

    async def ask() -> Any:
        asked = asyncio.create_task(score(repository.endpoints["flight-delay"], _rows(packaged, 1), Caller()))
        await _until_asked(busy, 1)
        await asyncio.to_thread(repository.unload, "flight-delay")
        busy.free.set()
        return await asyncio.wait_for(asked, 60)

    request_id, answer, _ = asyncio.run(ask())
    assert not answer.problems
    assert predictions(tmp_path).collect()["request_id"].to_list() == [request_id]
    assert all(map(is_finished, tmp_path.rglob("*.log")))


def test_a_row_that_a_model_fails_over_costs_no_other_client_the_answer(busy: Held, packaged: Package) -> None:
    rows = _rows(packaged, 6)
    busy.failing, busy.failing_over = RuntimeError("too deep"), rows[2]

    told = asyncio.run(_asked_while_busy(busy, rows))
    assert busy.asked == [1, 5, *[1] * 5]
    assert isinstance(told.pop(2), RuntimeError)
    assert [one.predictions for one in told] == [[busy.predict(row)] for row in (*rows[:2], *rows[3:])]


def test_a_request_of_many_rows_does_not_wait_for_its_place(busy: Held, packaged: Package) -> None:
    endpoint = Endpoint("flight-delay", Traffic((Variant("", busy, 1.0, {}, True, Gathering(busy, 4)),)), None)
    busy.free.set()
    answered = asyncio.run(score(endpoint, _rows(packaged, 9), Caller()))
    assert (busy.asked, len(answered.answer.predictions)) == ([9], 9)


@settings(max_examples=50, deadline=None)
@given(requests=st.lists(st.lists(st.sampled_from(["good", "bad", "failing"]), min_size=1, max_size=4), max_size=6))
def test_each_request_gets_the_problems_of_its_own_rows(packaged: Package, requests: list[list[str]]) -> None:
    predictor = Predictor(packaged)
    example = packaged.manifest["example"]
    kinds = {"good": example, "bad": {**example, "distance": "far"}, "failing": {**example, "distance": 666}}
    usual = predictor._engines["onnx"] if "onnx" in predictor._engines else predictor._engines["native"]
    place = predictor.columns.index("distance")

    def engine(matrix: Any) -> Any:
        if (matrix[:, place] == 666).any():
            raise RuntimeError("too deep")
        return usual(matrix)

    predictor._engines = dict.fromkeys(("onnx", "native"), engine)
    asked = [[kinds[kind] for kind in request] for request in requests]
    together = parted(predictor.answer([row for rows in asked for row in rows]), [len(rows) for rows in asked])
    for rows, part in zip(asked, together, strict=True):
        alone = predictor.answer(rows)
        assert part.predictions == alone.predictions
        assert [None if row is None else [*row] for row in part.values] == [
            None if row is None else [*row] for row in alone.values
        ]
        assert part.scores == alone.scores
        assert (sorted(part.problems, key=lambda one: one.row), part.failures) == (
            sorted(alone.problems, key=lambda one: one.row),
            alone.failures,
        )


def _forest(params: dict[str, Any]) -> RandomForestClassifier:
    return RandomForestClassifier(n_estimators=400, max_depth=6, n_jobs=1, random_state=1, **params)


@pytest.fixture(scope="module")
def forest(table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forest without ONNX: some milliseconds a row, and little more for many."""
    features = ["distance", "heavy"]
    data = tm.split(table, tm.by_share(), "late", features=features)
    model = tm.train(_forest, {}, data, name="flight-delay", baselines=False)
    return tm.package(model, table, formats=("native",)).write(tmp_path_factory.mktemp("slow") / "forest")


def test_a_slow_model_answers_many_clients_together_each_rightly_and_once_in_the_log(
    forest: Path, tmp_path: Path
) -> None:
    rows = [{"distance": 100 + 7 * place, "heavy": place % 3 == 0} for place in range(CLIENTS * ASKED)]
    with start_server(folders=[forest], project=tmp_path, timeout=120) as server:

        def ask(client: int) -> list[tuple[int, dict[str, Any]]]:
            with httpx.Client(base_url=server.url, timeout=60) as http:
                mine = range(client, len(rows), CLIENTS)
                return [(place, http.post(PREDICT, json={"rows": [rows[place]]}).json()) for place in mine]

        with ThreadPoolExecutor(CLIENTS) as clients:
            told = dict(answer for answers in clients.map(ask, range(CLIENTS)) for answer in answers)
        metrics = httpx.get(f"{server.url}/metrics").text
    predictor = tm.serving.open_predictor(forest)
    assert {place: body["predictions"] for place, body in told.items()} == {
        place: [predictor.predict(row)] for place, row in enumerate(rows)
    }
    asked = {name: float(value) for name, value in re.findall(r"model_requests_together_(\w+)\{[^}]*\} (\S+)", metrics)}
    assert asked["sum"] == len(rows)
    assert asked["count"] < len(rows) / 2
    logged = predictions(root=tmp_path / ".tidemill" / "predictions").select("request_id").collect()
    assert sorted(logged["request_id"]) == sorted(body["request_id"] for body in told.values())
