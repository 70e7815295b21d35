"""Small real data, split once."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer

from tidemill.data.split import Splits, by_share, split


def cancer_table() -> pl.DataFrame:
    """Thirty measurements of 569 tumours, with a category, a flag and holes added; the target is a flag."""
    found = load_breast_cancer()
    generator = np.random.default_rng(0)
    table = pl.DataFrame({name.replace(" ", "_"): found.data[:, i] for i, name in enumerate(found.feature_names[:8])})
    clinics = np.array(["north", "south", "east", None], dtype=object)[generator.integers(0, 4, 569)]
    holes = generator.random(569) < 0.1
    return table.with_columns(
        pl.when(pl.Series(~holes)).then(pl.col("mean_radius")).alias("mean_radius"),
        clinic=pl.Series(clinics.tolist(), dtype=pl.String),
        large=pl.col("mean_area") > 800,
        malignant=pl.Series(found.target == 0),
    )


@pytest.fixture(scope="session")
def cancer() -> Splits:
    """The tumours, split at random."""
    return split(cancer_table(), by_share(0.6, 0.2, seed=1), "malignant")
