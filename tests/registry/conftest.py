"""A store of its own for each test, and versions that are made in an instant from one package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.core.records import ModelVersion
from tidemill.evaluation.promises import Measurement
from tidemill.packaging.package import Package
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
