"""A window of rows that the sample model has not seen."""

from __future__ import annotations

import polars as pl
import pytest
from sample_models import flights


@pytest.fixture(scope="session")
def fresh() -> pl.DataFrame:
    """Flights of the same world that the model has not seen."""
    return flights(9)
