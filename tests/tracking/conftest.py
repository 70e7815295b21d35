"""A project with a store in a temporary folder, and a pipeline that makes, uses and measures."""

from __future__ import annotations

import polars as pl
import pytest

from tidemill.engine import pipeline, step
from tidemill.engine.notebook import close_notebook_runs
from tidemill.project import load_project, open_project_store, use_project
from tidemill.tracking import log_metric, log_metrics, log_params, log_tags


@step
def rows(count: int) -> pl.DataFrame:
    return pl.DataFrame({"a": range(count)})


@step
def halves(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    half = table.height // 2
    return table.head(half), table.tail(table.height - half)


@step
def fit(train: pl.DataFrame, rate: float) -> float:
    for epoch in range(3):
        log_metric("loss", 1.0 / (epoch + 1), step=epoch)
    score = float(train["a"].sum()) * rate
    log_metrics({"score": score}, context="validation")
    log_params({"rate_used": rate})
    log_tags({"team": "gates"})
    return score


@step
def report(score: float, test: pl.DataFrame) -> str:
    return f"{score:g} on {test.height}"


@pipeline
def learn(count: int = 10, rate: float = 0.5) -> str:
    train, test = halves(rows(count))
    return report(fit(train, rate), test)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project that is in use during the test."""
    for name in ("NAME", "STORE", "ARTIFACTS", "PROFILE"):
        monkeypatch.delenv(f"TIDEMILL_{name}", raising=False)
    (tmp_path / "tidemill.toml").write_text('[project]\nname = "flight-delay"\n')
    with use_project(load_project(tmp_path)) as project, open_project_store(project):
        yield project
        close_notebook_runs()


@pytest.fixture
def pipelines(project):
    """The pipeline `learn`."""
    return learn
