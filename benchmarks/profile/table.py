"""The table that is profiled and checked: 15 columns of decimals, 7 of whole numbers, 6 of text, a flag and a time."""

import sys
from pathlib import Path

import numpy as np
import polars as pl

_CARRIERS = ("AA", "B6", "DL", "EV", "MQ", "UA", "US", "WN", "9E", "F9")


def write(path: Path, rows: int, seed: int = 7, *, start: int = 0) -> None:
    """Write `rows` rows as Parquet, uncompressed size about 230 bytes a row."""
    table(rows, seed, start=start).write_parquet(path, row_group_size=131_072)


def table(rows: int, seed: int = 7, *, start: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    return pl.DataFrame(
        {**_decimals(draw, rows), **_whole(draw, rows, start), **_texts(draw, rows, start), **_rest(draw, rows, start)}
    )


def _decimals(draw: np.random.Generator, rows: int) -> dict[str, pl.Series]:
    out = {f"normal_{place}": pl.Series(draw.normal(place, 1 + place, rows)) for place in range(5)}
    out |= {f"skewed_{place}": pl.Series(draw.gamma(2 + place, 3, rows).round(2)) for place in range(4)}
    out["follows"] = out["normal_0"] * 2 + draw.normal(0, 0.5, rows)
    out["price"] = pl.Series(draw.lognormal(3, 1, rows).round(2))
    out["share"] = pl.Series(draw.beta(2, 5, rows))
    for name in ("gaps_a", "gaps_b", "gaps_c"):
        values = draw.normal(10, 3, rows)
        out[name] = pl.Series(values, nan_to_null=False).set(pl.Series(draw.random(rows) < 0.05), None)
    return out


def _whole(draw: np.random.Generator, rows: int, start: int) -> dict[str, pl.Series]:
    return {
        "id": pl.Series(np.arange(start, start + rows)),
        "constant": pl.Series(np.full(rows, 2013)),
        "hour": pl.Series(draw.integers(0, 24, rows)),
        "count": pl.Series(draw.poisson(4, rows)),
        "distance": pl.Series(draw.integers(17, 4983, rows)),
        "balance": pl.Series(draw.integers(-(10**9), 10**9, rows)),
        "delay": pl.Series(draw.normal(5, 40, rows).astype(np.int64)).set(pl.Series(draw.random(rows) < 0.02), None),
    }


def _texts(draw: np.random.Generator, rows: int, start: int) -> dict[str, pl.Series]:
    levels = {"carrier": len(_CARRIERS), "airport": 120, "tail": 4_000, "person": 50_000}
    out = {name: pl.Series(draw.zipf(1.5, rows) % size) for name, size in levels.items()}
    texts = {
        "carrier": pl.Series(_CARRIERS).gather(out["carrier"]),
        "airport": "K" + out["airport"].cast(pl.String).str.zfill(3),
        "tail": "N" + out["tail"].cast(pl.String) + "UA",
        "person": "person-" + out["person"].cast(pl.String) + "@example.org",
        "order": "order-" + pl.Series(np.arange(start, start + rows)).cast(pl.String).str.zfill(9),
        "note": "note " + pl.Series(draw.integers(0, max(1, rows // 3), rows)).cast(pl.String),
    }
    texts["airport"] = texts["airport"].set(pl.Series(draw.random(rows) < 0.03), None)
    return texts


def _rest(draw: np.random.Generator, rows: int, start: int) -> dict[str, pl.Series]:
    seconds = (np.arange(start, start + rows) * 30 + draw.integers(0, 30, rows)) * 1_000_000
    return {
        "late": pl.Series(draw.random(rows) < 0.2),
        "at": pl.Series(1_356_998_400_000_000 + seconds).cast(pl.Datetime("us")),
    }


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
