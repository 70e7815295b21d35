"""Rows of a file are about somebody: in the log they are found, labelled and erased by that, or by their place."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from rest_client import Client

from tidemill.core.model import Signature
from tidemill.core.schema import Column, TableSchema
from tidemill.packaging.package import Package
from tidemill.serving import tables
from tidemill.serving.answer_files import Written
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.log.erasing import erase_entity
from tidemill.serving.log.labelling import LabelLog, read_labels
from tidemill.serving.log.privacy import OPEN, Privacy, hashed
from tidemill.serving.log.querying import predictions
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.online import OnlineViews
from tidemill.serving.options import ServerOptions
from tidemill.serving.predictor import Answer, Predictor
from tidemill.serving.repository import Repository
from tidemill.serving.rest.app import App
from tidemill.serving.rest.batches import FORMATS

BATCH = "/v1/models/flight-delay/batch"
CSV, NDJSON, PARQUET, ARROW = FORMATS
KEY = "a-key-of-sixteen-characters"
HASHED = Privacy(hash=("entity",), key=KEY)


@pytest.fixture(scope="module")
def predictor(packaged: Package) -> Predictor:
    return Predictor(packaged, version=3, alias="champion")


@pytest.fixture
def client(predictor: Predictor, tmp_path: Path) -> Iterator[Client]:
    endpoint = Endpoint.of(predictor, PredictionLog(tmp_path, "flight-delay"))
    yield Client(App(Repository.of(endpoint), ServerOptions()), tmp_path)
    endpoint.close()


@pytest.fixture
def some(table: pl.DataFrame) -> pl.DataFrame:
    """Three rows of two passengers and of nobody, with the known answers."""
    return table.head(3).with_columns(pl.Series("order no", ["ann/1", None, "ben"]), pl.lit("x").alias("note"))


def encoded(frame: pl.DataFrame, kind: str) -> bytes:
    out = io.BytesIO()
    if kind == NDJSON:
        return "".join(f"{json.dumps(row, default=str)}\n" for row in frame.to_dicts()).encode()
    write = {CSV: frame.write_csv, PARQUET: frame.write_parquet, ARROW: frame.write_ipc_stream}[kind]
    write(out)
    return out.getvalue()


def send(client: Client, frame: pl.DataFrame | bytes, kind: str, query: str) -> Any:
    data = frame if isinstance(frame, bytes) else encoded(frame, kind)
    headers = {"content-type": kind, "accept": NDJSON}
    return client("POST", f"{BATCH}?{query}", content=data, headers=headers)


def entities(root: Path) -> list[str | None]:
    return predictions(root).collect()["entity"].to_list()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_column_that_is_no_input_says_whom_the_rows_are_about(client: Client, some: pl.DataFrame, kind: str) -> None:
    response = send(client, some, kind, "entity=order%20no")
    assert (response.status_code, response.headers["tidemill-refused"]) == (200, "0")
    assert response.headers["tidemill-left-aside"] == "note"
    logged = predictions(client.root).collect()
    assert logged["entity"].to_list() == ["ann/1", None, "ben"]
    assert logged["features.distance"].to_list() == some["distance"].to_list()


@pytest.mark.parametrize("kind", FORMATS)
def test_an_input_may_say_it_and_stays_an_input(client: Client, some: pl.DataFrame, kind: str) -> None:
    assert send(client, some, kind, "entity=distance").headers["tidemill-refused"] == "0"
    logged = predictions(client.root).collect()
    assert logged["entity"].to_list() == [str(one) for one in some["distance"]]
    assert logged["features.distance"].to_list() == some["distance"].to_list()


@pytest.mark.parametrize("kind", FORMATS)
def test_each_row_has_its_own_entity_beyond_the_first_chunk_and_beside_refused_rows(
    client: Client, table: pl.DataFrame, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 100)
    rows = table.head(250).with_columns(
        pl.when(pl.int_range(pl.len()) % 7 != 3).then("distance"), key=pl.int_range(250)
    )
    told = [json.loads(line) for line in send(client, rows, kind, "entity=key").content.splitlines()]
    logged = predictions(client.root).collect()
    found = {(one["request_id"], one["row"]): one["entity"] for one in logged.iter_rows(named=True)}
    assert len(found) == 250
    assert [found[one["request_id"], one["row"]] for one in told] == [str(place) for place in range(250)]
    assert [one["row"] for one in told] == [place % 100 for place in range(250)]
    assert [place for place, one in enumerate(told) if "error" in one] == [*range(3, 250, 7)]
    assert all(one["error"]["row"] == place for place, one in enumerate(told) if "error" in one)


@pytest.mark.parametrize("privacy", [OPEN, HASHED])
def test_an_uploaded_row_is_erased_by_its_entity(
    predictor: Predictor, tmp_path: Path, some: pl.DataFrame, privacy: Privacy
) -> None:
    endpoint = Endpoint.of(predictor, PredictionLog(tmp_path, "flight-delay", privacy=privacy))
    client = Client(App(Repository.of(endpoint), ServerOptions()), tmp_path)
    assert send(client, some, CSV, f"entity={quote('order no')}").status_code == 200
    endpoint.close()
    ben = hashed(KEY, "entity", "ben") if privacy is HASHED else "ben"
    assert entities(tmp_path)[1:] == [None, ben]
    done = erase_entity(tmp_path, "flight-delay", "ann/1", by="me", privacy=privacy, really=True)
    assert done.erased == 1
    assert entities(tmp_path) == [None, ben]


def test_answers_are_labelled_by_request_and_row_or_by_entity(
    client: Client, some: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 2)
    answer = send(client, some, PARQUET, "entity=order+no").content.splitlines()
    second = json.loads(answer[1])
    labels: list[Any] = [
        {"request_id": second["request_id"], "row": second["row"], "label": True},
        {"entity": "ben", "label": False},
    ]
    now = int(datetime.now(UTC).timestamp() * 1e6) + 1_000_000
    log = LabelLog(client.root)
    log.append(read_labels(labels, now, lambda _: OPEN, "flight-delay"), now)
    log.close()
    assert predictions(client.root, labels=True).collect()["label"].to_list() == [None, "true", "false"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_column_that_the_file_does_not_have_is_400_with_the_nearest(
    client: Client, some: pl.DataFrame, kind: str
) -> None:
    response = send(client, some, kind, "entity=order_no")
    assert response.status_code == 400
    message = response.json()["error"]["message"]
    assert "no such column of entities: 'order_no'. Did you mean 'order no'?" in message
    assert not list(client.root.rglob("*.log"))


def test_a_misspelt_parameter_is_400_and_does_not_leave_the_rows_to_nobody(client: Client, some: pl.DataFrame) -> None:
    response = send(client, some, CSV, "entitiy=note")
    assert response.status_code == 400
    assert "no such parameter: 'entitiy'. It takes entity." in response.json()["error"]["message"]


def test_whoever_reads_the_document_learns_of_the_parameter(client: Client) -> None:
    told = client("GET", "/openapi.json").json()["paths"][BATCH]["post"]["parameters"]
    assert [(one["name"], one["in"], one["required"]) for one in told] == [("entity", "query", False)]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (PARQUET, [17.0, None, 18.0], "the column 'order no' of entities is neither text nor whole numbers: 'Float64'"),
        (ARROW, [True, None, False], "neither text nor whole numbers: 'Boolean'"),
        (
            NDJSON,
            [None, 17.0, 18.0],
            "line 2 of the NDJSON file has an entity that is neither text nor whole number: 17.0",
        ),
        (NDJSON, [None, None, True], "line 3 of the NDJSON file"),
    ],
)
def test_keys_that_could_be_written_in_two_ways_are_400(
    client: Client, some: pl.DataFrame, kind: str, values: list[Any], message: str
) -> None:
    """`17.0` in the log would never be found when 17 is to be erased."""
    response = send(client, some.with_columns(pl.Series("order no", values)), kind, "entity=order%20no")
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "values",
    [pl.Series([1, None, 2**63], dtype=pl.UInt64), pl.Series(["1", None, "9223372036854775808"], dtype=pl.Categorical)],
)
def test_whole_numbers_and_categories_are_their_text(client: Client, some: pl.DataFrame, values: pl.Series) -> None:
    assert send(client, some.with_columns(values.alias("order no")), PARQUET, "entity=order%20no").status_code == 200
    assert entities(client.root) == ["1", None, "9223372036854775808"]


def test_lines_of_json_that_say_nobody_are_about_nobody(client: Client, predictor: Predictor) -> None:
    row = json.dumps(predictor.example())
    data = f'{row[:-1]}, "id": 5}}\n{row}\n3\n{row[:-1]}, "id": ""}}\n'.encode()
    assert send(client, data, NDJSON, "entity=id").headers["tidemill-refused"] == "1"
    assert entities(client.root) == ["5", None, None, ""]


def test_a_column_of_entities_is_no_misspelt_input(client: Client, some: pl.DataFrame) -> None:
    """Where an input is missing, other columns are suspected of being it; this one has its purpose."""
    rows = some.drop("temp", "note")
    assert send(client, rows, CSV, "").status_code == 400
    for kind in FORMATS:
        response = send(client, rows, kind, "entity=order%20no")
        assert (response.status_code, response.headers["tidemill-refused"]) == (200, "0")


class Weather:
    """The temperature at each plane."""

    def read(self, view: str, keys: Sequence[tuple[Any, ...]]) -> Sequence[Mapping[str, Any] | None]:
        return [{"temp": 31.5} if key == ("N14228",) else None for key in keys]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_key_of_features_may_say_it_and_finds_the_features(
    packaged: Package, tmp_path: Path, some: pl.DataFrame, kind: str
) -> None:
    inputs = frozenset(Predictor(packaged).columns)
    views = OnlineViews(Weather(), {"weather": ("tailnum",)}, {"weather": ("temp",)}, inputs)
    endpoint = Endpoint.of(Predictor(packaged, features=views), PredictionLog(tmp_path, "flight-delay"))
    client = Client(App(Repository.of(endpoint), ServerOptions()), tmp_path)
    rows = some.drop("temp", "order no", "note").with_columns(tailnum=pl.lit("N14228"))
    assert send(client, rows, kind, "entity=tailnum").headers["tidemill-refused"] == "0"
    endpoint.close()
    assert entities(tmp_path) == ["N14228"] * 3
    assert predictions(tmp_path).collect()["features.temp"].to_list() == [31.5] * 3


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_an_answer_called_row_is_not_written_over(kind: Any) -> None:
    written = Written(kind, Signature(TableSchema((Column("x", "float64"),)), "regression", "row"))
    written.add(Answer([{"row": 7.5}], [[1.0]], [7.5], [], 0), "01kg")
    text = written.finish().decode()
    assert text == ("row,request_id\n7.5,01kg\n" if kind == "csv" else '{"row":7.5,"request_id":"01kg"}\n')
