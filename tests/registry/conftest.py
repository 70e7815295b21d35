"""A store of its own for each test, and versions that are made in an instant from one package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sample_models

import tidemill as tm
from tidemill.core.records import ModelVersion
from tidemill.evaluation.promises import Measurement
from tidemill.packaging.package import Package
from tidemill.project import Project, load_project, use_project
from tidemill.registry import register_version
from tidemill.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path}/store.db", artifacts=str(tmp_path / "artifacts"), create=True) as opened:
        yield opened


@pytest.fixture
def version(store: Store, packaged: Package) -> Callable[..., ModelVersion]:
    """Make a version that is another package than the ones before."""
    made = iter(range(1, 1000))

    def make(*, auc: float = 0.7, **options: Any) -> ModelVersion:
        other = Package({**packaged.manifest, "params": {"number": next(made)}}, packaged.files)
        return register_version(store, other, [Measurement("test", "roc_auc", auc, auc - 0.01, auc + 0.01)], **options)

    return make


@tm.step
def rows(count: int) -> pl.DataFrame:
    return sample_models.flights(rows=count).select("distance", "temp", "heavy", "late")


@tm.step
def narrow(frame: pl.DataFrame, *, drop: str) -> pl.DataFrame:
    return frame.drop(drop) if drop else frame


def build(params: dict[str, Any]) -> Any:
    return sample_models.build(params)


@tm.pipeline
def train(count: int = 400, trees: int = 5, drop: str = "", importance: str = "permutation") -> tm.ModelVersion:
    data = tm.split(narrow(rows(count), drop=drop), tm.by_share(), "late")
    model = tm.train(build, {"n_estimators": trees}, data, name="late")
    return tm.register(
        model, tm.evaluate(model, data.validation, slices=["heavy"]), tm.test(model, data.test, importance=importance)
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Three versions: one, one from fewer rows and without a feature, one with more trees."""
    folder: Path = tmp_path_factory.mktemp("project")
    (folder / "tidemill.toml").write_text(
        '[project]\nname = "late"\n[requirements.ranking]\nmetric = "roc_auc"\nat_least = 0.9999\nchecked = ["test"]\n'
        '[canvas]\ndecisions = "Call a <b>second</b> hand | or not"\ncosts = {false_positive = 1, false_negative = 5}\n'
    )
    with use_project(load_project(folder)) as project:
        train()
        train(count=380, drop="temp")
        train(trees=6, importance="shap")
        yield project
