"""A model that cannot be stored exactly cannot be cached, resumed or traced."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tidemill.core.errors import TidemillError
from tidemill.core.model import Model
from tidemill.engine.materialisers import load, save
from tidemill.packaging.package import Package
from tidemill.store.artifacts import ArtifactStore, open_artifacts
from tidemill.training.prediction import predict


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return open_artifacts(str(tmp_path / "artifacts"), create=True)


def test_a_model_comes_back_and_equal_models_share_one_blob(
    model: Model, artifacts: ArtifactStore, table: pl.DataFrame
) -> None:
    draft = save(model, Model, artifacts)
    again = load(draft, Model, artifacts)
    assert isinstance(again, Model)
    assert again.signature == model.signature
    assert again.profile == model.profile
    assert (predict(again, table) == predict(model, table)).all()
    assert save(again, Model, artifacts) == draft
    assert draft.metadata["framework"] == "lightgbm"
    assert draft.metadata["metrics"]["roc_auc"] == model.metrics["roc_auc"]


def test_a_package_comes_back_with_its_digest(packaged: Package, artifacts: ArtifactStore) -> None:
    draft = save(packaged, Package, artifacts)
    again = load(draft, None, artifacts)
    assert isinstance(again, Package)
    assert again.digest == packaged.digest == draft.digest


def test_a_tampered_blob_is_refused(packaged: Package, artifacts: ArtifactStore, tmp_path: Path) -> None:
    draft = save(packaged, Package, artifacts)
    blob = next(
        path for path in (tmp_path / "artifacts").rglob("*") if path.is_file() and path.stat().st_size == draft.size
    )
    blob.chmod(0o644)
    data = bytearray(blob.read_bytes())
    data[100] ^= 1
    blob.write_bytes(bytes(data))
    with pytest.raises(TidemillError):
        load(draft, Package, open_artifacts(str(tmp_path / "artifacts"), create=False))
