"""One champion, served three ways: as a service, as a dependency of a program, and precomputed; the answers agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import polars as pl

import tidemill as tm
from tidemill.core.records import Alias

#: A table of predictions is made with the model's engine for batches, which may round the last digits otherwise.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Precomputed:
    """Flights that were predicted before anybody asked, and where the predictions are."""

    table: str
    flights: int
    scored: int
    refused: int


@dataclass(frozen=True)
class Served:
    """What the service answered to real rows, and what its log says now that the flights have landed."""

    endpoint: str
    asked: int
    answered: int
    refused: int
    flagged: int
    median_ms: float
    p99_ms: float
    logged: int
    labelled: int
    late: int
    caught: int
    example: dict[str, Any]


@dataclass(frozen=True)
class Compared:
    """The same flights, predicted over HTTP, in process and beforehand: how many answers there were, and how unlike."""

    over_http: int
    in_process: int
    precomputed: int
    live_instead: int
    differing: int


@tm.step(stage="schedule")
def departures(rows: pl.DataFrame, model: tm.Model, since: str) -> pl.DataFrame:
    """The flights since a day, with what is known about each two hours before, and what became of it."""
    local = pl.col("sched_dep").dt.convert_time_zone("America/New_York")  # a number flies once a day, there
    number = pl.format("{}{}-{}-{}", "carrier", "flight", "origin", local.dt.strftime("%Y%m%d"))
    due = rows.filter(local.dt.date() >= pl.lit(since).str.to_date())
    return due.select(number.alias("flight_id"), "sched_dep", "late", *model.signature.inputs.names)


@tm.step(stage="precompute", effect=True)
def precompute(champion: Alias, flights: pl.DataFrame) -> Precomputed:
    """Predict the flights into a table, where `tidemill serve` looks them up."""
    root = tm.current_project().root
    flights.drop("late").write_parquet(root / "departures.parquet")
    table = "sqlite:///precomputed.db#late"
    done = tm.score(f"{champion.model}@{champion.alias}", "departures", table, entity="flight_id")
    return Precomputed(table, done.rows, done.scored, done.refused)


@tm.step(stage="serve", effect=True)
def ask(champion: Alias, flights: pl.DataFrame, count: int) -> Served:
    """Serve the champion over HTTP, send it flights, tell it later how they ended, and read its log."""
    sample = flights.sample(count, seed=7)
    inputs = sample.drop("flight_id", "sched_dep", "late")
    url = f"/v1/models/{champion.model}/predict"
    with (
        tm.start_server(f"{champion.model}@{champion.alias}") as server,
        httpx.Client(base_url=server.url) as client,
    ):
        responses = [
            client.post(url, json={"rows": [row], "entities": [flight]})  # a row that breaks the contract is refused
            for flight, row in zip(sample["flight_id"], inputs.iter_rows(named=True), strict=True)
        ]
        answers = [response.json() for response in responses]
        ids = [answer["request_id"] for answer in answers]
        told = [{"request_id": one, "label": late} for one, late in zip(ids, sample["late"], strict=True)]
        client.post("/v1/labels", json={"labels": told}).raise_for_status()
    logged = tm.predictions(model=champion.model, labels=True).filter(pl.col("request_id").is_in(ids)).collect()
    judged = logged.filter(pl.col("status") == "answered", pl.col("label").is_not_null())
    times = pl.Series([response.elapsed.total_seconds() * 1000 for response in responses])
    predictions = [answer["predictions"][0] for answer in answers]
    return Served(
        endpoint=f"POST {url}",
        asked=count,
        answered=sum("late" in one for one in predictions),
        refused=sum("error" in one for one in predictions),
        flagged=sum(bool(one.get("late")) for one in predictions),
        median_ms=float(times.median()),
        p99_ms=float(times.quantile(0.99)),
        logged=logged.height,
        labelled=judged.height,
        late=int((judged["label"] == "true").sum()),
        caught=judged.filter(pl.col("label") == "true", pl.col("prediction") == "true").height,
        example=answers[0],
    )


@tm.step(stage="compare", effect=True)
def compare(champion: Alias, flights: pl.DataFrame, precomputed: Precomputed, count: int) -> Compared:
    """Ask about the same flights in every way."""
    del precomputed  # which must be there first
    sample = flights.sample(count, seed=7)
    rows = sample.drop("flight_id", "sched_dep", "late").to_dicts()
    reference = f"{champion.model}@{champion.alias}"
    in_process = tm.load(reference).predict(rows)
    with tm.start_server(reference) as server, httpx.Client(base_url=f"{server.url}/v1/models") as client:
        over_http = client.post(f"{champion.model}/predict", json={"rows": rows}).json()["predictions"]
        found = [client.get(f"{champion.model}/predictions/{flight}").json() for flight in sample["flight_id"]]
        unfit = client.get(f"{champion.model}/predictions/{sample['flight_id'][0]}", params={"max_age": "0"}).json()
    looked_up = [one["prediction"] for one in found]
    ways = zip(in_process, over_http, looked_up, strict=True)
    return Compared(
        over_http=len(over_http),
        in_process=len(in_process),
        precomputed=sum(one["source"] == "precomputed" for one in found),
        live_instead=sum(one["source"] == "live" for one in (*found, unfit)),
        differing=sum(own != told or not same(own, before) for own, told, before in ways)
        + (unfit["prediction"] != in_process[0]),
    )


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two answers say the same: both an error, or the same decision of the same probability."""
    if "error" in one or "error" in other:
        return "error" in one and "error" in other
    close = abs(one["probability"] - other["probability"]) <= ROUNDING
    return close and one["late"] == other["late"] and one["decision"] == other["decision"]
