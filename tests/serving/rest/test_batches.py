"""A file of rows comes back as a file of answers, row for row; what is wrong with it is said with the line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_client import Client

from tidemill.packaging.package import Package
from tidemill.serving import tables
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.log.querying import predictions
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.options import ServerOptions
from tidemill.serving.predictor import Predictor
from tidemill.serving.repository import Repository
from tidemill.serving.rest.app import App
from tidemill.serving.rest.batches import FORMATS
from tidemill.serving.variants import Traffic, variant_of

BATCH = "/v1/models/flight-delay/batch"
CSV, NDJSON, PARQUET, ARROW = FORMATS


@pytest.fixture(scope="module")
def predictor(packaged: Package) -> Predictor:
    return Predictor(packaged, version=3, alias="champion")


@pytest.fixture
def client(predictor: Predictor, tmp_path: Path) -> Iterator[Client]:
    endpoint = Endpoint.of(predictor, PredictionLog(tmp_path, "flight-delay"))
    yield Client(App(Repository.of(endpoint), ServerOptions(body_limit=1_000_000)), tmp_path)
    endpoint.close()


@pytest.fixture
def some(table: pl.DataFrame) -> pl.DataFrame:
    return table.head(300)


def encoded(frame: pl.DataFrame, kind: str) -> bytes:
    out = io.BytesIO()
    if kind == NDJSON:
        return "".join(f"{json.dumps(row, default=str)}\n" for row in frame.to_dicts()).encode()
    if kind == CSV:
        frame.write_csv(out)
    elif kind == PARQUET:
        frame.write_parquet(out)
    else:
        frame.write_ipc_stream(out)
    return out.getvalue()


def decoded(data: bytes, kind: str) -> list[dict[str, Any]]:
    if kind == NDJSON:
        return [json.loads(line) for line in data.splitlines()]
    readers = {CSV: pl.read_csv, PARQUET: pl.read_parquet, ARROW: pl.read_ipc_stream}
    return readers[kind](io.BytesIO(data)).to_dicts()


def send(client: Client, data: bytes, kind: str, **headers: str) -> Any:
    return client("POST", BATCH, content=data, headers={"content-type": kind, **headers})


@pytest.mark.parametrize("kind", FORMATS)
def test_answers_are_those_of_single_requests_in_the_order_of_the_rows(
    client: Client, predictor: Predictor, some: pl.DataFrame, kind: str
) -> None:
    response = send(client, encoded(some, kind), kind)  # with the column of known answers, which is left out
    assert (response.status_code, response.headers["content-type"]) == (200, kind)
    told = decoded(response.content, kind)
    expected = [predictor.predict(row)["probability"] for row in some.drop("late").to_dicts()]
    assert [one["probability"] for one in told] == pytest.approx(expected, abs=1e-6)
    assert response.headers["tidemill-rows"] == "300"
    logged = predictions(client.root).collect()
    assert logged["request_id"].to_list() == [one["request_id"] for one in told]
    assert logged["features.distance"].to_list() == some["distance"].to_list()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("wanted", FORMATS)
def test_the_answers_come_in_the_kind_that_is_accepted(
    client: Client, some: pl.DataFrame, kind: str, wanted: str
) -> None:
    response = send(client, encoded(some.head(3), kind), kind, accept=f"application/pdf, {wanted};q=0.9")
    assert response.headers["content-type"] == wanted
    assert len(decoded(response.content, wanted)) == 3


def test_a_bad_row_has_its_error_at_its_place_and_the_others_are_answered(client: Client) -> None:
    data = b"carrier,distance,temp,heavy,sched_dep\n" + b"\n".join(
        b"UA,%s,10,true,2013-08-01T12:00:00Z" % distance for distance in (b"500", b"far", b"700")
    )
    response = send(client, data, CSV)
    first, bad, last = decoded(response.content, CSV)
    assert (response.status_code, response.headers["tidemill-refused"]) == (200, "1")
    assert (first["error.column"], bad["error.column"], bad["error.row"], last["error.column"]) == (
        None,
        "distance",
        1,
        None,
    )
    assert bad["probability"] is None
    assert last["probability"] is not None
    assert predictions(client.root).collect()["status"].to_list() == ["answered", "refused", "answered"]


def test_a_row_keeps_its_number_beyond_the_first_chunk(
    client: Client, some: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 100)
    rows = some.drop("late").with_columns(pl.when(pl.int_range(pl.len()) != 250).then("distance"))
    for kind in FORMATS:
        told = decoded(send(client, encoded(rows, kind), kind, accept=NDJSON).content, NDJSON)
        assert [place for place, one in enumerate(told) if "error" in one] == [250]
        assert told[250]["error"]["row"] == 250
        assert len({one["request_id"] for one in told}) == 3


def test_columns_come_in_one_order_whatever_the_first_row_was_told(client: Client, some: pl.DataFrame) -> None:
    rows = some.drop("late").head(3).with_columns(pl.when(pl.int_range(pl.len()) > 0).then("distance"))
    names = pl.read_csv(send(client, encoded(rows, CSV), CSV).content).columns
    assert names[:5] == ["late", "probability", "decision", "request_id", "row"]
    assert names[5:] == [f"error.{part}" for part in ("row", "column", "value", "error", "allowed")]


def test_a_file_of_bad_rows_only_is_422(client: Client) -> None:
    response = send(client, b'{"distance": "far"}\n3\nnull\n', NDJSON)
    assert response.status_code == 422
    assert len(decoded(response.content, NDJSON)) == 3


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        (CSV, b"", "no header"),
        (CSV, b"distance,temp\n", "no rows"),
        (CSV, b"distance,temp\n1,2\n1,2,3\n", "line 3 of the CSV file has 3 cells"),
        (CSV, b'distance,carrier\n1,"two\nlines"\n5\n', "line 4 of the CSV file has 1 cell,"),
        (CSV, b'distance,carrier\n1,a\n1,"open\n', "line 3 of the CSV file is broken"),
        (CSV, b"distance,distance\n1,2\n", "column names repeat"),
        (CSV, b"distance,temp\n1,2\n\xff,3\n", "line 3 of the CSV file is not UTF-8"),
        (CSV, b"distance;temp\n1;2\n", "no column of the file is an input"),
        (CSV, b"distance,temp\r1,2\r", "can be read in two ways"),
        (NDJSON, b"", "no rows"),
        (NDJSON, b"{}\n\n{]\n", "line 3 of the NDJSON file is not JSON"),
        (NDJSON, b'{}\n{"temp": NaN}\n', "line 2 of the NDJSON file is not JSON"),
        (PARQUET, b"", "cannot be read"),
        (PARQUET, b"PAR1 no PAR1", "cannot be read"),
        (ARROW, b"\xff\xff\xff\xff\x10\x00\x00\x00", "cannot be read"),
        (ARROW, b"not arrow", "cannot be read"),
    ],
)
def test_a_broken_file_is_400_and_nothing_of_it_is_answered(
    client: Client, kind: str, data: bytes, message: str
) -> None:
    response = send(client, data, kind)
    assert response.status_code == 400, response.text
    assert message in response.json()["error"]["message"]
    assert not list(client.root.rglob("*.log"))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 415),
        ({"content-type": ""}, 415),
        ({"content-type": CSV, "content-encoding": "gzip"}, 415),
        ({"content-type": CSV, "accept": "application/pdf"}, 406),
        ({"content-type": f"{CSV}; charset=utf-8", "accept": "text/*"}, 422),
    ],
)
def test_kinds_that_are_not_known_are_refused_by_name(client: Client, headers: dict[str, str], status: int) -> None:
    response = client("POST", BATCH, content=b"distance\nfar\n", headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"] == (CSV if status == 422 else "application/json")


@pytest.mark.parametrize("kind", FORMATS)
def test_columns_that_are_no_inputs_are_left_aside_and_named(client: Client, some: pl.DataFrame, kind: str) -> None:
    rows = some.head(3).with_columns(pl.lit("K-1").alias("order, no"), key=pl.int_range(pl.len()))
    response = send(client, encoded(rows, kind), kind)
    assert (response.status_code, response.headers["tidemill-refused"]) == (200, "0")
    assert response.headers["tidemill-left-aside"] == "order%2C%20no, key"
    assert predictions(client.root).collect()["features.distance"].to_list() == rows["distance"].to_list()
    assert send(client, encoded(some.head(3), kind), kind).headers["tidemill-left-aside"] == ""


@pytest.mark.parametrize("kind", FORMATS)
def test_a_misspelt_input_is_never_left_aside(client: Client, some: pl.DataFrame, kind: str) -> None:
    """It may be missing, so that every answer would be another one without a word."""
    response = send(client, encoded(some.head(3).rename({"temp": "tmp"}), kind), kind)
    if kind == NDJSON:
        assert response.status_code == 422
        assert "did you mean 'temp'?" in decoded(response.content, kind)[0]["error"]["error"]
    else:
        assert response.status_code == 400
        assert "not in the file: 'temp'. Is it 'tmp', misspelt?" in response.json()["error"]["message"]
    none = send(client, encoded(some.head(3).drop("temp"), kind), kind)
    assert (none.status_code, none.headers["tidemill-refused"]) == (200, "0")


def test_a_line_of_json_with_a_misspelt_input_is_refused_among_whole_ones(client: Client) -> None:
    whole = {"carrier": "UA", "distance": 500, "temp": 10.0, "heavy": True, "sched_dep": "2013-08-01T12:00:00Z", "k": 1}
    misspelt = {"tmp" if name == "temp" else name: value for name, value in whole.items()}
    response = send(client, "\n".join(map(json.dumps, (whole, misspelt))).encode(), NDJSON)
    first, second = decoded(response.content, NDJSON)
    assert "error" not in first
    assert "unknown column 'tmp'" in second["error"]["error"]
    assert response.headers["tidemill-left-aside"] == "k"


def test_a_header_names_some_of_many_columns(client: Client, some: pl.DataFrame) -> None:
    rows = some.head(1).with_columns(pl.lit(1).alias(f"Ü{place}\r\nx: y") for place in range(30))
    named = send(client, encoded(rows, PARQUET), PARQUET).headers["tidemill-left-aside"]
    assert named.startswith("%C3%9C0%0D%0Ax%3A%20y, ")
    assert named.endswith("and 10 more")


def test_a_small_file_cannot_stand_for_more_rows_than_fit(client: Client) -> None:
    many = pl.DataFrame({"distance": pl.repeat(1, tables.MAX_ROWS + 1, eager=True, dtype=pl.Int8)})
    long = pl.DataFrame({"carrier": pl.repeat("x" * 100_000, 11_000, eager=True)})
    for frame in (many, long):
        data = encoded(frame, PARQUET)
        assert len(data) < 1_000_000
        response = send(client, data, PARQUET)
        assert response.status_code == 413
        assert "the file holds too much" in response.json()["error"]["message"]


@pytest.mark.parametrize("packing", ["lz4", "zstd"])
def test_an_arrow_stream_is_not_unpacked_to_whatever_size(client: Client, packing: Any) -> None:
    out = io.BytesIO()
    zeros = pl.DataFrame({"temp": pl.repeat(0.0, 500_000, eager=True), "carrier": pl.repeat("UA", 500_000, eager=True)})
    zeros.write_ipc_stream(out, compression=packing)
    response = send(client, out.getvalue(), ARROW)
    assert response.status_code == 400
    assert "compressed inside" in response.json()["error"]["message"]


def test_a_file_over_the_limit_is_413(client: Client) -> None:
    assert send(client, b"distance\n" + b"1\n" * 500_000, CSV).status_code == 413


@given(data=st.data(), kind=st.sampled_from([CSV, NDJSON, PARQUET, ARROW]))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_to_a_file_is_a_server_error(
    client: Client, some: pl.DataFrame, data: st.DataObject, kind: str
) -> None:
    whole = bytearray(encoded(some.head(5), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    response = send(client, bytes(whole[: data.draw(st.integers(0, len(whole)))]), kind)
    assert response.status_code in (200, 400, 413, 422)


def test_a_server_that_is_sent_no_file_does_not_load_polars() -> None:
    code = "import sys, tidemill.serving.rest.app; print('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_shadow_is_asked_the_same_rows(
    predictor: Predictor, packaged: Package, some: pl.DataFrame, tmp_path: Path
) -> None:
    live = variant_of(predictor, name="champion")
    shadow = variant_of(Predictor(packaged, version=4), name="next", share=0.0)
    endpoint = Endpoint("flight-delay", Traffic((live,), (shadow,)), PredictionLog(tmp_path, "flight-delay"))
    client = Client(App(Repository.of(endpoint), ServerOptions()), tmp_path)
    response = send(client, encoded(some.drop("late").head(20), PARQUET), PARQUET)
    endpoint.close()
    logged = predictions(tmp_path).collect()
    by_variant = {name: part.sort("row") for (name,), part in logged.group_by("variant")}
    assert by_variant["next"]["request_id"].to_list() == by_variant["champion"]["request_id"].to_list()
    assert by_variant["next"]["features.distance"].to_list() == some["distance"].head(20).to_list()
    assert response.headers["tidemill-variant"] == "champion"
