"""Whoever writes a client from the OpenAPI document is told the truth: every path, status, type and refusal."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from rest_client import Client

from tidemill.core.model import Signature
from tidemill.core.schema import Column, TableSchema
from tidemill.core.tasks import TASKS
from tidemill.packaging.package import Package
from tidemill.packaging.validator import Policy
from tidemill.serving import start_server
from tidemill.serving.decisions import compile_decision
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.options import ServerOptions
from tidemill.serving.predictor import Predictor
from tidemill.serving.repository import Repository
from tidemill.serving.rest.app import App
from tidemill.serving.rest.openapi_rows import answer_schema, column_schema
from tidemill.serving.rest.routes import ROUTES

KEY = "a-key-of-sixteen-characters"


@pytest.fixture(scope="module")
def predictor(packaged: Package) -> Predictor:
    return Predictor(packaged, version=3, alias="champion")


@pytest.fixture
def client(predictor: Predictor, tmp_path: Path) -> Client:
    return Client(App(Repository.of(Endpoint.of(predictor, None))), tmp_path)


@pytest.fixture
def locked(predictor: Predictor, tmp_path: Path) -> Client:
    return Client(App(Repository.of(Endpoint.of(predictor, None)), ServerOptions(keys=(KEY,))), tmp_path)


def test_the_document_is_valid_and_names_every_route(client: Client) -> None:
    document = client("GET", "/openapi.json").json()
    validate(document)
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    in_table = {
        (one.method, one.path if "/repository/" in one.path else one.path.replace("{name}", "flight-delay"))
        for one in ROUTES
    }
    assert described == in_table


def test_keys_are_in_the_document_where_they_are_asked_for(client: Client, locked: Client) -> None:
    assert locked("GET", "/openapi.json").status_code == 401
    document = locked("GET", "/openapi.json", headers={"x-api-key": KEY}).json()
    validate(document)
    predict = document["paths"]["/v1/models/flight-delay/predict"]["post"]
    assert predict["security"] == [{"bearer": []}, {"key": []}]
    assert {"401", "403"} <= set(predict["responses"])
    assert "security" not in document["paths"]["/live"]["get"]
    assert "securitySchemes" not in client("GET", "/openapi.json").json()["components"]


def test_the_example_and_its_answer_are_as_described(client: Client) -> None:
    document = client("GET", "/openapi.json").json()
    body = client("GET", "/v1/models/flight-delay/example").json()
    answer = client("POST", "/v1/models/flight-delay/predict", json={**body, "explain": True})
    predict = document["paths"]["/v1/models/flight-delay/predict"]["post"]
    for schema, value in (
        (predict["requestBody"]["content"]["application/json"]["schema"], body),
        (predict["responses"]["200"]["content"]["application/json"]["schema"], answer.json()),
    ):
        Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def test_a_rule_is_in_the_schema_only_where_breaking_it_is_refused() -> None:
    number = Column("distance", "int64", minimum=80, maximum=4983, nullable=False)
    text = Column("carrier", "string", categories=("UA", "AA"))
    assert column_schema(number, Policy())["minimum"] == -(1 << 63)
    assert "enum" not in column_schema(text, Policy())
    strict = Policy(out_of_range="reject", unseen_category="reject")
    assert column_schema(number, strict)["minimum"] == 80
    assert column_schema(text, strict)["enum"] == ["UA", "AA", None]


@pytest.mark.parametrize("task", TASKS)
def test_the_answer_of_every_kind_of_question_fits_its_schema(task: Any) -> None:
    classes: tuple[str, ...] = {
        "binary": ("false", "true"), "multiclass": ("A", "B"), "multilabel": ("A", "B"), "quantile": ("0.1", "0.9"),
    }.get(task, ())  # fmt: skip
    signature = Signature(TableSchema(()), task, "what", classes)
    score: Any = [0.25, 0.75] if task in ("multiclass", "multilabel", "quantile") else 0.75
    for one in (signature, replace(signature, target="decision"), replace(signature, target="probability")):
        told = compile_decision(one)(score)
        Draft202012Validator(answer_schema(one) | {"components": {"schemas": {"Explanation": {}}}}).validate(told)


@pytest.mark.slow
def test_schemathesis_finds_nothing_on_a_real_server(packaged: Package, tmp_path: Path) -> None:
    (tmp_path / "tidemill.toml").write_text(f'[project]\nname = "p"\n[serving]\nkeys = ["{KEY}"]\n')
    folder = packaged.write(tmp_path / "model")
    # What a schema cannot say (entities are as many as rows, a file has rows) makes some valid requests refused; that
    # invalid ones are is checked in `schemathesis_checks`; loading and unloading would take away what is asked.
    options = ["--exclude-checks", "positive_data_acceptance,negative_data_rejection"]
    options += ["--exclude-path-regex", "(un)?load$"]
    options += ["--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--warnings", "off", "--no-color"]
    options += ["--generation-deterministic"] if "CI" in os.environ else []
    with start_server(folders=[folder], project=tmp_path, log=tmp_path / "log") as server:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", *options]
        done = subprocess.run(
            [*command, "--header", f"X-API-Key: {KEY}", "--generation-with-security-parameters", "false"],
            capture_output=True, text=True, cwd=tmp_path, check=False,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_checks", "PYTHONPATH": str(Path(__file__).parent)},
        )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "No issues found" in done.stdout
