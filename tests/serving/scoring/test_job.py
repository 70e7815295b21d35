"""Every row ends up in the table exactly once, as the predictor answers it, whatever and however often is written."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rows_to_score import to_score

import tidemill as tm
from tidemill.core.errors import ConfigError, ConflictError, SchemaError, UsageError
from tidemill.packaging.package import Package
from tidemill.project import Project, load_project, open_project_store, use_project
from tidemill.registry import promote_version, register_version
from tidemill.serving.predictor import Predictor
from tidemill.serving.scoring import job as jobs
from tidemill.serving.scoring.job import score
from tidemill.serving.scoring.tables import find_prediction, place_of

TARGETS = [
    "sqlite:///out/scores.db#late",
    "duckdb:///out/scores.duckdb#late",
    "postgresql",
    "out/table",
    "out/one.parquet",
]


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    if request.param != "postgresql":
        return str(request.param)
    return f"{request.getfixturevalue('postgres_server')}#late_{abs(hash(request.node.name))}"


def source(project: Project, table: pl.DataFrame, name: str = "rows.parquet") -> str:
    path = project.root / name
    table.write_csv(path) if name.endswith("csv") else table.write_parquet(path)
    return name


def held(project: Project, target: str) -> pl.DataFrame:
    """The table as another model's pipeline reads it, without the times of scoring."""
    uri, _, table = target.partition("#")
    options = {"table": table} if table else None
    read = tm.read(uri, options=options).collect() if options else tm.read(target).collect()
    return read.drop("scored_at").sort("entity", *(["as_of"] if "as_of" in read.columns else []))


def test_the_table_holds_what_the_predictor_answers_and_is_a_source(
    project: Project, packaged: Package, target: str
) -> None:
    table = to_score()
    done = score("flight-delay@champion", source(project, table), target, entity="flight", chunk_rows=300)
    assert (done.rows, done.scored, done.refused, done.chunks) == (1000, 998, 2, 4)
    found = held(project, target)
    told = Predictor(packaged).predict(table.drop("flight", "remark").to_dicts())
    assert found["entity"].to_list() == list(range(1000))
    assert found["prediction"].cast(pl.Boolean).to_list() == [answer.get("late") for answer in told]
    expected = pl.Series([answer.get("probability") for answer in told])
    assert (found["probability"] - expected).abs().max() < 1e-6  # type: ignore[operator]
    assert "finite number" in found["error"][3]
    assert found["error"].null_count() == 998
    assert found["version"].unique().to_list() == [1]


def test_scoring_again_changes_nothing_and_later_rows_take_the_place_of_earlier_ones(
    project: Project, target: str
) -> None:
    rows = source(project, to_score(400))
    score("flight-delay", rows, target, entity="flight", chunk_rows=150)
    first = held(project, target)
    score("flight-delay", rows, target, entity="flight", chunk_rows=90)
    assert held(project, target).equals(first)
    other = to_score(450, seed=6).filter(pl.col("flight") >= 350)
    score("flight-delay", source(project, other, "more.parquet"), target, entity="flight")
    found = held(project, target)
    assert found.head(350).equals(first.head(350))
    assert found["entity"].to_list() == list(range(450))
    assert not found.slice(350, 50).equals(first.tail(50))


def test_incremental_scores_what_is_new_or_changed_and_everything_for_another_version(
    project: Project, target: str
) -> None:
    table = to_score(500)
    score("flight-delay", source(project, table), target, entity="flight", at="sched_dep")
    changed = table.with_columns(
        pl.when(pl.col("flight") == 7).then(pl.lit(81)).otherwise("distance").alias("distance")
    )
    more = pl.concat([changed, to_score(503).tail(3)], how="vertical_relaxed")
    rows = source(project, more)
    done = score("flight-delay", rows, target, entity="flight", at="sched_dep", incremental=True, chunk_rows=200)
    assert (done.scored + done.refused, done.new, done.changed, done.unchanged) == (4, 3, 1, 499)
    store = open_project_store(project)
    champion = _champion(store)
    package = Package({**champion.manifest, "metadata": {"again": 1}}, champion.files)
    register_version(store, package)
    promote_version(store, "flight-delay@2")
    done = score("flight-delay", rows, target, entity="flight", at="sched_dep", incremental=True)
    assert (done.of_other_version, done.unchanged, done.version) == (503, 0, 2)
    assert held(project, target)["version"].unique().to_list() == [2]


def _champion(store: Any) -> Package:
    from_registry: Package = jobs.load_package(store, jobs.resolve(store, "flight-delay@1"))
    return from_registry


def test_a_key_that_comes_twice_counts_once_and_the_last_row_wins(project: Project, target: str) -> None:
    table = to_score(60)
    twice = pl.concat([table, table.with_columns(pl.lit(4000).cast(pl.Int64).alias("distance"))])
    near = score("flight-delay", source(project, twice), target, entity="flight")
    assert (near.repeated, near.scored + near.refused) == (60, 60)
    together = held(project, target)
    far = score("flight-delay", source(project, twice), target, entity="flight", chunk_rows=60)
    assert far.scored + far.refused == 120
    assert held(project, target).equals(together)


def test_rows_of_an_entity_at_several_times_are_kept_apart_and_the_newest_is_found(
    project: Project, target: str
) -> None:
    table = to_score(90).with_columns((pl.col("flight") % 30).cast(pl.String).alias("plane"))
    score("flight-delay", source(project, table), target, entity="plane", at="sched_dep")
    assert held(project, target).height == 90
    row = find_prediction(place_of(target, project.root), "7")
    assert row is not None
    assert row["as_of"] == table.filter(plane="7")["sched_dep"].max()
    assert row["scored_at"].tzinfo is not None
    assert find_prediction(place_of(target, project.root), "nobody") is None


@pytest.mark.parametrize("column", ["carrier", "distance"])
def test_a_time_that_is_none_is_refused_before_anything_is_scored(project: Project, target: str, column: str) -> None:
    with pytest.raises(SchemaError, match=f"the time is no moment.*{column}"):
        score("flight-delay", source(project, to_score(30)), target, entity="flight", at=column)


def test_a_key_finds_the_prediction_of_nobody_else(project: Project, target: str) -> None:
    """Databases take 07, 7.0 and 6.6 for 7 where keys are numbers; some fail over a word."""
    score("flight-delay", source(project, to_score(30)), target, entity="flight")
    place = place_of(target, project.root)
    row = find_prediction(place, "7")
    assert row is not None
    assert row["entity"] == 7
    for other in ("07", "7.0", "6.6", "7e0", " 7", "٧", "+7", "nobody", "", "9" * 30, "0x7"):
        assert find_prediction(place, other) is None, other


def test_rows_without_a_key_are_told_never_dropped(project: Project, tmp_path: Path) -> None:
    table = to_score(20).with_columns(pl.when(pl.col("flight") != 5).then("flight").alias("flight"))
    done = score("flight-delay", source(project, table), "out", entity="flight")
    assert (done.without_key, done.scored + done.refused) == (1, 19)
    assert done.errors is not None
    told = [json.loads(line) for line in Path(done.errors).read_text().splitlines()]
    assert told == [{"row": 5, "entity": None, "error": "column 'flight', the entity, is missing"}]


def test_keys_and_words_of_a_csv_are_what_they_mean_and_not_what_they_look_like(
    project: Project, packaged: Package
) -> None:
    """Customers 007 and 7 are two, and carrier 01 is not 1: what a reader guesses from the cells says otherwise."""
    table = to_score().slice(4, 4).with_columns(carrier=pl.Series(["01", "1", "2", "3"]))
    told = Predictor(packaged).predict(table.drop("flight", "remark").to_dicts())
    keyed = table.with_columns(flight=pl.Series(["007", "7", "8", "9"]))
    done = score("flight-delay", source(project, keyed, "rows.csv"), "out", entity="flight")
    assert (done.rows, done.scored, done.refused) == (4, 4, 0)
    found = held(project, "out")
    assert found["entity"].to_list() == ["007", "7", "8", "9"]
    assert found["probability"].to_list() == pytest.approx([one["probability"] for one in told], abs=1e-6)
    numbered = table.with_columns(flight=pl.Series([7, 10, 8, 9]))
    score("flight-delay", source(project, numbered, "numbers.csv"), "numbers", entity="flight")
    assert held(project, "numbers")["entity"].to_list() == [7, 8, 9, 10]
    declared = '[sources.keyed]\nuri = "rows.csv"\nschema = { flight = "int64" }\n'
    (project.root / "tidemill.toml").write_text((project.root / "tidemill.toml").read_text() + declared)
    with use_project(load_project(project.root)):
        assert score("flight-delay", "keyed", "declared", entity="flight").rows == 4
    assert held(project, "declared")["entity"].to_list() == [7, 8, 9]


def test_rows_of_a_database_are_scored(project: Project) -> None:
    to_score().write_database("flights", f"sqlite:///{project.root}/flights.db", engine="adbc")
    done = score("flight-delay", "sqlite:///flights.db#flights", "out", entity="flight")
    assert (done.rows, done.scored, done.refused) == (1000, 998, 2)
    assert held(project, "out")["entity"].to_list() == list(range(1000))


def test_errors_has_every_row_without_a_prediction(project: Project, tmp_path: Path) -> None:
    done = score(
        "flight-delay", source(project, to_score()), "out", entity="flight", errors="bad.ndjson", chunk_rows=99
    )
    told = [json.loads(line) for line in (tmp_path / "bad.ndjson").read_text().splitlines()]
    assert [(line["row"], line["entity"]) for line in told] == [(3, "3"), (501, "501")]
    assert done.errors == str(tmp_path / "bad.ndjson")


def test_a_cell_of_a_csv_file_that_is_no_number_spoils_its_own_row_only(project: Project) -> None:
    table = to_score(50).with_columns(
        pl.when(pl.col("flight") == 9).then(pl.lit("warm")).otherwise(pl.col("temp").cast(pl.String)).alias("temp")
    )
    done = score("flight-delay", source(project, table, "rows.csv"), "out", entity="flight")
    assert (done.scored, done.refused) == (48, 2)
    assert "takes a number (got 'warm'" in held(project, "out").filter(entity=9)["error"][0]


def test_several_processes_write_the_same_table(project: Project) -> None:
    rows = source(project, to_score(2000))
    score("flight-delay", rows, "alone.parquet", entity="flight", chunk_rows=250)
    done = score("flight-delay", rows, "together.parquet", entity="flight", chunk_rows=250, workers=2)
    assert (done.scored, done.refused) == (1998, 2)
    assert held(project, "together.parquet").equals(held(project, "alone.parquet"))


def test_a_dry_run_writes_nothing_and_says_what_would_be(project: Project) -> None:
    done = score("flight-delay", source(project, to_score(1200)), "sqlite:///x.db", entity="flight", dry_run=True)
    assert (done.rows, done.scored, done.refused, done.dry_run) == (1200, 998, 2, True)
    assert not (project.root / "x.db").exists()


def test_no_rows_make_an_empty_table(project: Project, target: str) -> None:
    done = score("flight-delay", source(project, to_score(5).clear()), target, entity="flight")
    assert (done.rows, done.chunks) == (0, 0)
    assert held(project, target).height == 0


def test_a_table_of_another_key_or_entity_or_of_another_model_or_of_no_predictions_is_not_written_to(
    project: Project, target: str
) -> None:
    rows = source(project, to_score(50))
    score("flight-delay", rows, target, entity="flight")
    with pytest.raises(ConfigError, match="without times"):
        score("flight-delay", rows, target, entity="flight", at="sched_dep")
    other = "from the column 'flight': 'tail'. Write to another table; if it is the same under another name"
    tails = source(project, to_score(50).rename({"flight": "tail"}), "tails.parquet")
    with pytest.raises(ConfigError, match=other):
        score("flight-delay", tails, target, entity="tail")
    score("flight-delay", rows, target, entity="flight", chunk_rows=7)
    assert held(project, target)["entity"].n_unique() == 50
    store = open_project_store(project)
    register_version(store, _champion(store), name="other")
    with pytest.raises(ConfigError, match="holds predictions of 'flight-delay'"):
        score("other@1", rows, target, entity="flight")


def test_a_table_that_was_dropped_or_made_before_entities_were_recorded_takes_any(project: Project) -> None:
    rows = source(project, to_score(50).with_columns(tail="flight"))
    for statement in ("DROP TABLE late", "DELETE FROM tidemill_scored"):
        for entity in ("flight", "tail"):
            score("flight-delay", rows, "sqlite:///scores.db#late", entity=entity)
            with closing(sqlite3.connect(project.root / "scores.db")) as connection:
                connection.execute(statement)
                connection.commit()


def test_what_was_not_made_by_scoring_is_not_replaced(project: Project) -> None:
    rows = source(project, to_score(50))
    (project.root / "mine").mkdir()
    (project.root / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="something else"):
        score("flight-delay", rows, "mine", entity="flight")
    with closing(sqlite3.connect(project.root / "mine.db")) as connection:
        connection.execute("CREATE TABLE predictions (entity TEXT, amount REAL)")
        connection.commit()
    with pytest.raises(ConfigError, match="no table of predictions"):
        score("flight-delay", rows, "sqlite:///mine.db", entity="flight")


@pytest.mark.parametrize(
    ("lacking", "error", "says"),
    [
        (to_score(5).rename({"distance": "distanse"}), SchemaError, "an input of the model.*distance"),
        (to_score(5).drop("flight"), SchemaError, "the entity"),
        (to_score(5).with_columns(pl.col("flight").cast(pl.Float64)), SchemaError, "no key"),
    ],
)
def test_a_source_that_lacks_something_is_refused_before_anything_is_written(
    project: Project, lacking: pl.DataFrame, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        score("flight-delay", source(project, lacking), "out", entity="flight")
    assert not (project.root / "out").exists()


def test_two_processes_do_not_write_to_the_same_table(project: Project) -> None:
    rows = source(project, to_score(50))

    def another(done: int, of: int) -> None:
        del done, of
        score("flight-delay", rows, "out", entity="flight")

    with pytest.raises(ConflictError, match="another process"):
        score("flight-delay", rows, "out", entity="flight", progress=another)


def test_a_target_that_nobody_writes_is_refused(project: Project) -> None:
    with pytest.raises(UsageError, match="cannot be written there"):
        score("flight-delay", "x", "kafka://host", entity="flight")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"SQLite format 3\x00" + bytes(84), r"a SQLite database.*sqlite:///kept\.db#late"),
        (bytes(8) + b"DUCK" + bytes(84), r"a DuckDB database.*duckdb:///kept\.db#late"),
        (b"entity,prediction\n1,0\n", "there already, and is no Parquet file"),
        (b"", "there already, and is no Parquet file"),
        (b"PAR1" + bytes(96), "is damaged"),
    ],
    ids=["sqlite", "duckdb", "csv", "empty", "truncated"],
)
def test_a_file_of_another_kind_is_refused_with_what_to_write_and_stays(
    project: Project, head: bytes, said: str
) -> None:
    file = project.root / "kept.db"
    file.write_bytes(head)
    with pytest.raises(ConfigError, match=said):
        score("flight-delay", source(project, to_score(3)), "kept.db#late", entity="flight")
    assert file.read_bytes() == head


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_the_place_that_is_advised_for_a_database_can_be_written(project: Project, scheme: str) -> None:
    rows = source(project, to_score(3))
    score("flight-delay", rows, f"{scheme}:///s.db#first", entity="flight")
    with pytest.raises(ConfigError, match="database, no Parquet file") as refused:
        score("flight-delay", rows, "s.db", entity="flight")
    (advised,) = re.findall(r"Write (\S+) for", str(refused.value))
    assert score("flight-delay", rows, advised, entity="flight").scored == 3


def test_predictions_are_a_source_of_another_pipeline(project: Project) -> None:
    score("flight-delay", source(project, to_score(30)), "sqlite:///s.db#late", entity="flight", at="sched_dep")
    text = (project.root / "tidemill.toml").read_text()
    declared = '[sources.scores]\nuri = "sqlite:///s.db"\ntable = "late"\nevent_time = "scored_at"\n'
    (project.root / "tidemill.toml").write_text(text + declared)
    with use_project(load_project(project.root)):

        @tm.step
        def risky(scores: pl.LazyFrame) -> pl.DataFrame:
            return scores.filter(pl.col("probability") > 0.5).select("entity", "as_of").collect()

        @tm.pipeline
        def use() -> pl.DataFrame:
            return risky(tm.read("scores"))

        found = use()
    assert 0 < found.height < 30
    assert found.schema["as_of"].is_temporal()


@pytest.mark.parametrize("name", ["out.csv", "out.xlsx", "out.ndjson", "out.json", "out.PARQUET", "scores.db", "x.pq"])
def test_a_table_is_not_called_like_another_kind_of_file(project: Project, name: str) -> None:
    """Whoever asked for a CSV file found a folder of Parquet, and had been told that all went well."""
    with pytest.raises(ConfigError, match=r"Name a \.parquet file, a folder, or a database"):
        tm.score("flight-delay", source(project, to_score(20)), name, entity="flight", dry_run=True)
    assert not (project.root / name).exists()


@pytest.mark.parametrize("name", ["scores.v2", "2026.03", "out", "late.parquet"])
def test_a_folder_may_have_a_dot_in_its_name(project: Project, name: str) -> None:
    tm.score("flight-delay", source(project, to_score(20)), name, entity="flight")
    folder = project.root / name
    assert pl.read_parquet(folder if folder.is_file() else folder / "*.parquet").height == 20


@pytest.mark.parametrize("name", ["bad.csv", "bad.parquet", "bad.xlsx", "bad.json"])
def test_a_file_of_errors_is_not_called_like_another_kind_of_file(project: Project, name: str) -> None:
    """No program would read it as what its name says."""
    with pytest.raises(ConfigError, match=r"written as NDJSON.*Name a \.ndjson file"):
        tm.score("flight-delay", source(project, to_score(20)), "out", entity="flight", errors=name)
    assert not (project.root / name).exists()
