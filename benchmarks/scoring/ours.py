"""The model alone, and the same rows through `tidemill.score`."""

from __future__ import annotations

import functools
import json
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl

import tidemill as tm
from tidemill.cli import main as main_of_the_command_line
from tidemill.packaging.engines import open_engine
from tidemill.packaging.preparation import compile_columns
from tidemill.project import load_project, open_project_store, use_project
from tidemill.registry import promote_version, register_version
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.options import ServerOptions
from tidemill.serving.predictor import Predictor
from tidemill.serving.repository import Repository
from tidemill.serving.rest.app import App

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "_shared"))

from postgres_server import serve
from rest_client import Client

ROWS = int(os.environ.get("BENCH_ROWS", "400000"))
#: Rows of a file that is sent to a server.
SENT = min(ROWS, 100_000)


def table(rows: int) -> pl.DataFrame:
    """Twenty numbers, an entity and an answer."""
    draw = np.random.default_rng(1)
    columns = {f"x{place}": draw.normal(size=rows) for place in range(20)}
    answer = columns["x0"] + columns["x1"] * columns["x2"] + draw.normal(0, 0.5, rows) > 0
    return pl.DataFrame({"id": np.arange(rows), **columns, "y": answer})


def build(params: dict[str, object]) -> lightgbm.LGBMClassifier:
    return lightgbm.LGBMClassifier(**params, n_jobs=1, verbose=-1, random_state=1)


def cpu() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def rate(call: Callable[[], object], rows: int = ROWS) -> float:
    started = cpu()
    call()
    return rows / (cpu() - started)


def main() -> None:
    folder = Path(os.environ["BENCH_FOLDER"])
    (folder / "tidemill.toml").write_text('[project]\nname = "bench"\n')
    rows = table(ROWS)
    names = [f"x{place}" for place in range(20)]
    data = tm.split(rows.head(20_000), tm.by_share(), "y", features=names)
    package = tm.package(tm.train(build, {"n_estimators": 100}, data, name="bench", baselines=False), data.validation)
    rows.drop("y").write_parquet(folder / "rows.parquet")
    rows.head(1000).drop("y").write_parquet(folder / "few.parquet")
    with use_project(load_project(folder)) as project:
        store = open_project_store(project)
        register_version(store, package)
        promote_version(store, "bench@1")
        tm.score("bench", "few.parquet", "few", entity="id")  # what is loaded once, as the engines are tried once below
        numbers = alone(package, rows)
        for what, to in {"into Parquet": "out", "into SQLite": "sqlite:///scores.db"}.items():
            numbers[what] = rate(lambda to=to: tm.score("bench", "rows.parquet", to, entity="id"))
        numbers |= postgresql() | files(package, rows, folder)
        best = numbers[f"the model alone, {package.manifest['engines']['batch']}"]
        numbers["by hand, Parquet to Parquet"] = rate(lambda: by_hand(package))
        numbers["into Parquet, of by hand"] = 100 * numbers["into Parquet"] / numbers["by hand, Parquet to Parquet"]
        numbers["into Parquet, of the model alone"] = 100 * numbers["into Parquet"] / best
    print(json.dumps(numbers))


def alone(package: tm.Package, rows: pl.DataFrame) -> dict[str, float]:
    """What the engines take for the encoded matrix, in the chunks that scoring makes."""
    prepare = compile_columns(package.manifest["cleaning"], package.manifest["encoding"])
    matrix = prepare({name: rows[name].to_numpy() for name in package.signature.inputs.names})
    parts = [matrix[start : start + 100_000] for start in range(0, len(matrix), 100_000)]
    numbers = {}
    for name in ("native", "onnx"):
        engine = open_engine(package, name)
        engine(parts[0][:1000])
        numbers[f"the model alone, {name}"] = rate(lambda engine=engine: [engine(part) for part in parts])
    return numbers


def by_hand(package: tm.Package) -> None:
    names = package.signature.inputs.names
    engine = open_engine(package, package.manifest["engines"]["batch"])
    scan = pl.scan_parquet("rows.parquet")
    for start in range(0, ROWS, 100_000):
        rows = scan.slice(start, 100_000).collect()
        scores = engine(rows.select(names).cast(pl.Float32).to_numpy(order="c"))
        rows.select("id", pl.Series("probability", scores)).write_parquet(f"by-hand-{start}.parquet")


def files(package: tm.Package, rows: pl.DataFrame, folder: Path) -> dict[str, float]:
    """A file that is predicted here, and files that are sent to a server, which has each row in its log."""
    inputs = rows.select(package.signature.inputs.names)
    inputs.write_parquet(folder / "inputs.parquet")
    predict("few.parquet")  # what is loaded once
    numbers = {"tidemill predict, Parquet to Parquet": rate(lambda: predict("inputs.parquet"))}
    endpoint = Endpoint.of(Predictor(package), PredictionLog(folder / "log", "bench"))
    client = Client(App(Repository.of(endpoint), ServerOptions(body_limit=1 << 30)), folder)
    for ending, kind in {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}.items():

        def send(count: int, ending: str = ending, kind: str = kind) -> None:
            body = (folder / f"{count}.{ending}").read_bytes()
            answer = client("POST", "/v1/models/bench/batch", content=body, headers={"content-type": kind})
            assert answer.headers["tidemill-refused"] == "0", answer.text

        for count in (1000, SENT):
            part = inputs.head(count)
            part.write_csv(folder / f"{count}.csv") if ending == "csv" else part.write_parquet(
                folder / f"{count}.parquet"
            )
        send(1000)
        numbers[f"{ending} sent to a server, logged"] = rate(functools.partial(send, SENT), SENT)
    endpoint.close()
    return numbers


def predict(file: str) -> None:
    try:
        main_of_the_command_line(["predict", "bench", file, "--out", "predicted.parquet"])
    except SystemExit as error:
        if error.code:
            raise


def postgresql() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="tidemill-pg-") as home, closing(serve(Path(home))) as server:
        url = next(server)
        return {"into PostgreSQL": rate(lambda: tm.score("bench", "rows.parquet", f"{url}#scores", entity="id"))}


if __name__ == "__main__":
    main()
