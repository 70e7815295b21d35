"""The first thing a stranger runs: the whole life of a model, from five raw tables to a served and watched champion."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from tritonclient import grpc as triton

import tidemill as tm
from tidemill.core.errors import InvalidRequestError
from tidemill.project import load_project, use_project

pytestmark = pytest.mark.slow


def tidemill(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """Run the command line and return its JSON lines."""
    done = subprocess.run(
        [sys.executable, "-m", "tidemill.cli", *arguments, "--json"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def lines(place) -> list[dict[str, Any]]:
    return tidemill(place, "demo", "flights", "--trials", "2")


@pytest.fixture(scope="module")
def summary(lines) -> dict[str, Any]:
    return lines[-1]


def test_it_succeeds_and_tells_its_progress(lines, summary):
    assert summary["status"] == "succeeded"
    finished = {line["stage"] for line in lines if line.get("event") == "step_finished"}
    life = [
        "read",
        "explore",
        "validate",
        "clean",
        "enrich",
        "leaks",
        "training set",
        "tune",
        "train",
        "evaluate",
        "test",
    ]
    assert finished >= {*life, "package", "register", "promote", "precompute", "serve", "compare", "drift"}


def test_the_honest_model_ranks_well_on_months_it_never_saw(summary):
    assert summary["metrics"]["test"]["roc_auc"] >= 0.74
    assert summary["metrics"]["test"]["failed_behaviours"] == 0


def test_it_says_which_columns_the_model_relies_on(summary):
    columns = summary["importance"]["test"]
    assert 0 < len(columns) <= 15
    assert list(columns.values()) == sorted(columns.values(), reverse=True)


def test_it_tunes_and_beats_every_baseline_beyond_the_interval_of_the_difference(place, summary):
    (study,) = [line["study"] for line in tidemill(place / "flights", "studies", "list") if "study" in line]
    assert (study["status"], study["trials"]) == ("finished", 2)
    met = {(entry["moment"], entry["baseline"]) for entry in summary["baselines"]}
    assert met == {(moment, name) for moment in ("evaluation", "test") for name in ("constant", "linear", "tree")}
    for entry in summary["baselines"]:
        assert (entry["metric"], entry["better"]) == ("roc_auc", True)
        assert 0 < entry["low"] <= entry["difference"] <= entry["high"]


def test_every_stage_says_seconds_and_rows(summary):
    stages = {stage["step"]: stage for stage in summary["stages"]}
    assert stages["read"]["rows_out"] == 336_776
    assert stages["clean"]["rows_out"] == 336_776  # the good rows and those in quarantine
    assert stages["build_training_set"]["rows_out"] == 327_346
    assert all(stage["seconds"] >= 0 for stage in summary["stages"])


def test_the_known_defects_of_the_tables_are_found(summary):
    found = {(error["kind"], error["column"]) for error in summary["errors_found"]}
    assert ("impossible_value", "wind_speed") in found
    assert ("clock_2400", "dep_time") in found
    assert ("hour_mismatch", "time_hour") in found
    assert ("orphan_keys", "tailnum") in found
    assert ("missing_labels", "arr_delay") in found
    assert any(
        1048 < example < 1049
        for error in summary["errors_found"]
        for example in error["examples"]
        if isinstance(example, float)
    )


def test_the_leak_is_named_from_when_it_becomes_known(summary):
    leaks = {leak["column"]: leak for leak in summary["leaks"]}
    assert leaks["dep_delay"]["known_at"] == "departed_at"
    assert leaks["dep_delay"]["late"] > 0.99
    assert leaks["dep_delay"]["auc_alone"] > 0.85


def test_it_shows_what_the_leak_would_have_promised(place, summary):
    (line,) = tidemill(place / "flights", "show", summary["run"], "--step", "with_leak")
    artifact = tidemill(place / "flights", "show", summary["run"])[-1]["artifacts"]["with_leak"]
    (shown,) = tidemill(place / "flights", "artifact", artifact["id"])
    assert line["execution"]["status"] == "succeeded"
    value = json.loads(shown["artifact"]["inline"])
    assert "0.9" in json.dumps(value)


def test_the_gate_passed_with_every_promise_measured(summary):
    assert summary["gate"]["passed"] is True
    assert {promise["name"] for promise in summary["gate"]["promises"]} == {"ranking", "honesty", "response", "parity"}
    assert summary["aliases"] == ["champion"]
    assert (summary["model"], summary["version"]) == ("flight-delay", 1)


def test_the_server_answered_and_logged_what_it_said(place, summary):
    records = {record["step"]: record for record in summary["records"]}
    asked, compared = records["ask"], records["compare"]
    assert asked["answered"] + asked["refused"] == asked["asked"] == asked["logged"] == 200
    assert asked["labelled"] == asked["answered"] > 150
    assert asked["caught"] > asked["late"] / 2 > 10
    rows = tidemill(place / "flights", "predictions", "--limit", "5")
    assert rows[-1]["total"] == asked["asked"] + compared["over_http"] + compared["live_instead"]
    request = next(
        row["prediction"]["request_id"] for row in rows if row.get("prediction", {}).get("status") == "answered"
    )
    trace = tidemill(place / "flights", "trace", request)[-1]
    kinds = {node["kind"] for node in trace["nodes"].values()}
    assert kinds >= {"model version", "artifact", "execution"}
    assert any(node["name"].startswith("read") for node in trace["nodes"].values())


def test_three_patterns_gave_the_same_answers_and_what_was_not_precomputed_was_predicted_live(summary):
    records = {record["step"]: record for record in summary["records"]}
    early, compared = records["precompute"], records["compare"]
    assert early["scored"] + early["refused"] == early["flights"] > 20_000
    assert compared["differing"] == 0
    assert compared["over_http"] == compared["in_process"] == 200
    assert compared["precomputed"] + compared["live_instead"] == 201  # one was asked for anew
    assert compared["precomputed"] > 150


def test_a_program_a_file_a_table_and_clients_of_three_protocols_are_told_the_same(place, lines):
    flights = place / "flights"
    sample = pl.read_parquet(flights / "departures.parquet").drop_nulls().sample(40, seed=3)
    rows = sample.drop("flight_id", "sched_dep").to_dicts()
    with use_project(load_project(flights)):
        told = tm.load("flight-delay@champion").predict(rows)
    sample.drop("flight_id", "sched_dep").write_parquet(place / "rows.parquet")
    answers = tidemill(flights, "predict", "flight-delay", str(place / "rows.parquet"))[:-1]
    assert [answer["prediction"] for answer in answers] == told
    with tm.start_server("flight-delay", project=flights, grpc_port=0, timeout=60) as server:
        with httpx.Client(base_url=f"{server.url}/v1/models") as client:
            assert client.post("flight-delay/predict", json={"rows": rows}).json()["predictions"] == told
            found = [client.get(f"flight-delay/predictions/{flight}").json() for flight in sample["flight_id"]]
            fresh = client.get(f"flight-delay/predictions/{sample['flight_id'][0]}?max_age=0").json()
        assert httpx.get(f"{server.url}/models/flight-delay").status_code == 200
        by_grpc = over_grpc(server.grpc, rows)
    assert {one["source"] for one in found} == {"precomputed"}
    assert [one["prediction"]["decision"] for one in found] == [one["decision"] for one in told]
    early = [one["prediction"]["probability"] for one in found]
    assert early == pytest.approx([one["probability"] for one in told], abs=1e-6)  # by the engine for batches
    assert (fresh["source"], fresh["prediction"]) == ("live", told[0])
    assert by_grpc == [(str(one["late"]).lower(), one["probability"], one["decision"]) for one in told]


def over_grpc(address: str, rows: list[dict[str, Any]]) -> list[tuple[str, float, str]]:
    """Answers to a client that knows the Open Inference Protocol and nothing of Tidemill."""
    kinds = {"INT64": np.int64, "FP64": np.float64, "BYTES": np.object_}
    with triton.InferenceServerClient(address) as client:
        tensors = []
        for column in client.get_model_metadata("flight-delay").inputs:
            values = [row[column.name] for row in rows]
            kind = column.datatype if column.datatype in kinds else "INT64"
            tensors.append(triton.InferInput(column.name, [len(rows)], kind))
            tensors[-1].set_data_from_numpy(np.array(values, dtype=kinds[kind]))
        answer = client.infer("flight-delay", tensors)
    late, probability, decision = (answer.as_numpy(name).tolist() for name in ("late", "probability", "decision"))
    return [(one.decode(), share, what.decode()) for one, share, what in zip(late, probability, decision, strict=True)]


def test_the_report_is_one_small_file_without_requests(summary):
    page = Path(summary["report"]).read_text()
    assert len(page) < 1_000_000
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page


def test_a_second_run_repeats_only_effects(place, lines):
    again = tidemill(place, "demo", "flights", "--trials", "2")
    ran = {line["step"] for line in again if line.get("event") == "step_started"}
    assert ran == {"register_model", "promote", "precompute", "ask", "compare"}


def test_a_request_that_breaks_the_contract_of_the_training_rows_is_refused(place, lines):
    with use_project(load_project(place / "flights")):
        predictor = tm.load("flight-delay@champion")
        columns = predictor.signature.inputs
        row = {c.name: None if c.nullable else c.categories[0] if c.categories else c.minimum for c in columns}
        row |= {"origin": "EWR", "dest": "IAH", "distance": 1400, "wind_speed": 12.0}
        assert 0 < predictor.predict(row)["probability"] < 1
        with pytest.raises(InvalidRequestError, match=r"breaks 'wind_speed > 200' of the contract 'trips'"):
            predictor.predict(row | {"wind_speed": 1048.4})
        with pytest.raises(InvalidRequestError, match="breaks 'it lands elsewhere'"):
            predictor.predict(row | {"dest": "EWR"})


def test_people_are_asked_why_flights_were_late_where_rules_disagree(place, lines):
    flights = place / "flights"
    assert tidemill(flights, "run", "causes", "--set", "count=30")[-1]["status"] == "succeeded"
    (task, *_) = tidemill(flights, "labels", "next", "causes", "--as", "ann")
    assert "sched_dep" in json.dumps(task)
    tidemill(flights, "labels", "submit", "causes", "1", "weather", "--as", "ann")
    tidemill(flights, "run", "causes", "--set", "count=30")  # the queue has these flights already
    shown = json.dumps(tidemill(flights, "labels", "show", "causes"))
    assert '"waiting": 29' in shown
    assert '"labelled": 1' in shown


def test_the_commands_on_its_page_work(place, lines):
    flights = place / "flights"
    page = (flights / "README.md").read_text()
    commands = re.findall(r"^\$ tidemill ((?:predict|score|predictions) .*)$", page, re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        assert tidemill(flights, *shlex.split(command))[-1]["status"] in ("succeeded", "listed", "measured")
    named = set(re.findall(r"predictions/([\w-]+)", page))
    assert named <= set(pl.read_parquet(flights / "departures.parquet")["flight_id"])
    assert len(named) == 1


def test_a_challenger_takes_a_tenth_of_the_traffic_and_the_log_tells_both_apart(place, lines):
    flights = place / "flights"
    assert tidemill(flights, "run", "challenge", "--set", "requests=200")[-1]["status"] == "succeeded"
    with use_project(load_project(flights)) as project:
        found = tm.label_coverage(project.hidden / "predictions", "flight-delay")
    answered = {(one.version, one.variant): one.labelled for one in found.by}
    assert set(answered) == {(1, "champion"), (2, "challenger")}
    assert 5 <= answered[2, "challenger"] <= 40  # each flight has its variant: the same ones in every run


def test_the_version_is_made_again_from_its_record_and_is_equal(place, lines):
    found = tidemill(place / "flights", "reproduce", "flight-delay@1")[-1]
    outcomes = {step["node"]: step["outcome"] for step in found["steps"]}
    assert found["equal"], found["sentence"]
    assert {outcomes[name] for name in ("tune", "train", "evaluate", "examine", "package")} == {"equal"}
    assert {outcomes[name] for name in ("read", "promote", "precompute", "ask")} == {"taken"}


def test_an_edited_helper_runs_what_depends_on_it_and_says_why(place, lines):
    source = place / "flights" / "pipeline.py"
    source.write_text(source.read_text().replace("TAXI = 30", "TAXI = 25"))
    plan = tidemill(place / "flights", "plan", "train", "--set", "trials=2")
    actions = {line["node"]["node"]: line["node"] for line in plan if "node" in line}
    assert actions["validate"]["action"] == "cached"
    assert actions["flown"]["action"] == "run"
    assert any("TAXI" in reason for reason in actions["flown"]["reasons"])
