"""fg-data-profiling (the successor of ydata-profiling), minimal: no correlations, no interactions, no duplicates."""

import sys

import pandas as pd
from data_profiling import ProfileReport

from benchmarks.used import report


def profile() -> None:
    page = ProfileReport(pd.read_parquet(sys.argv[1]), minimal=True, progress_bar=False).to_html()
    assert len(page) > 100_000


report(profile)
