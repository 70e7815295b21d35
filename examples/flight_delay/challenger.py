"""Would a smaller model do? It takes a tenth of the live traffic beside the champion, and the log says how both did."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import polars as pl

import tidemill as tm
from pipeline import COLUMNS, COSTS, DUE, build, known_flights, training_options
from serving import departures
from tables import TRIPS
from tidemill.core.records import Alias


@dataclass(frozen=True)
class Traffic:
    """Who answered how many of the flights, and how many of those that were late it had flagged."""

    champion: int
    challenger: int
    champion_caught: str
    challenger_caught: str


@tm.step(stage="serve", effect=True)
def share(challenger: Alias, flights: pl.DataFrame, count: int) -> Traffic:
    """Serve whoever `[endpoints.flight-delay]` names; the same flight always meets the same variant."""
    sample = flights.sample(count, seed=11)
    inputs = sample.drop("flight_id", "sched_dep", "late")
    with tm.start_server(challenger.model) as server, httpx.Client(base_url=server.url) as client:
        ids = []
        for flight, row in zip(sample["flight_id"], inputs.iter_rows(named=True), strict=True):
            body = {"rows": [row], "entities": [flight]}
            ids.append(client.post(f"/v1/models/{challenger.model}/predict", json=body).json()["request_id"])
        told = [{"request_id": one, "label": late} for one, late in zip(ids, sample["late"], strict=True)]
        client.post("/v1/labels", json={"labels": told}).raise_for_status()
    logged = tm.predictions(model=challenger.model, labels=True).filter(pl.col("request_id").is_in(ids)).collect()
    by = {variant: logged.filter(pl.col("variant") == variant) for variant in ("champion", "challenger")}
    return Traffic(by["champion"].height, by["challenger"].height, caught(by["champion"]), caught(by["challenger"]))


def caught(answers: pl.DataFrame) -> str:
    """Of the flights that were late, how many had been flagged."""
    late = answers.filter(pl.col("status") == "answered", pl.col("label") == "true")
    return f"{late.filter(pl.col('prediction') == 'true').height} of {late.height}"


@tm.pipeline
def challenge(trees: int = 60, requests: int = 300) -> tm.ModelVersion:
    """A challenger of fewer trees on the same rows, through the same gate, on a tenth of the traffic."""
    references = {"planes": tm.read("planes"), "airports": tm.read("airports"), "airlines": tm.read("airlines")}
    trips, known = known_flights(tm.read("flights"), tm.read("weather"), references)
    data = tm.training_set(tm.validate(known, TRIPS), columns=COLUMNS, **training_options(trips))
    params = {"n_estimators": trees, "learning_rate": 0.15, "num_leaves": 15}
    model = tm.train(build, params, data, name="flight-delay", costs=COSTS)
    package = tm.package(model, data.validation)
    evaluation = tm.evaluate(model, data.validation, costs=COSTS)
    version = tm.register(package, evaluation, tm.test(model, data.test, costs=COSTS), package)
    share(tm.promote(version, alias="challenger"), departures(data.test, model, DUE), requests)
    return version
