"""Plain Polars: the statistics of each column, exact distinct values, repeated rows and correlations; no findings."""

import sys

import polars as pl

from benchmarks.used import report

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def statistics(name: str, kind: pl.DataType) -> list[pl.Expr]:
    column = pl.col(name)
    out = {"nulls": column.null_count(), "distinct": column.n_unique(), "min": column.min(), "max": column.max()}
    if kind.is_numeric():
        out |= {
            "mean": column.mean(), "std": column.std(), "skew": column.skew(), "kurtosis": column.kurtosis(),
            "zeros": (column == 0).sum(), "negatives": (column < 0).sum(), "sum": column.sum(),
            "mad": (column - column.median()).abs().median(), "monotone": (column.diff() >= 0).all(),
        }  # fmt: skip
        out |= {f"q{share}": column.quantile(share) for share in QUANTILES}
    elif kind == pl.String:
        length = column.str.len_chars()
        out |= {"shortest": length.min(), "length": length.mean(), "longest": length.max()}
    return [value.alias(f"{name}:{what}") for what, value in out.items()]


def profile() -> None:
    table = pl.read_parquet(sys.argv[1])
    found = table.select(one for name, kind in table.schema.items() for one in statistics(name, kind))
    assert found.width > 300
    for column in table.iter_columns():
        column.value_counts(name="rows").top_k(20, by="rows")
        if column.dtype.is_numeric():
            column.hist(bin_count=50)
    assert not table.is_duplicated().any()
    table.select(pl.col(pl.Float64, pl.Int64).fill_null(0)).corr()


report(profile)
