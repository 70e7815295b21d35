"""The bins of a column's histogram as they are drawn: those of whole numbers hold whole numbers."""

from __future__ import annotations

import math

from tidemill.data.profile import ColumnProfile


def bins_of(column: ColumnProfile) -> tuple[list[float], list[float]]:
    """Edges and counts; none where there is no histogram, or none that can be drawn.

    Of whole numbers, an edge lies in the middle between two of them: else a bin that has room for two values would
    stand out beside one that has room for one, and one without any would look like a hole.

    >>> from tidemill.data.profile import measure_column
    >>> import polars as pl
    >>> bins_of(measure_column(pl.Series([1, 2, 2, 3])).profile)
    ([0.5, 1.5, 2.5, 3.5], [1.0, 2.0, 1.0])
    """
    if not column.histogram:
        return [], []
    edges, counts = list(column.histogram["edges"]), list(column.histogram["counts"])
    if not all(map(math.isfinite, edges)) or not math.isfinite(edges[-1] - edges[0]):
        return [], []
    whole = column.type.startswith(("int", "uint")) and abs(edges[0]) < 2**53 and abs(edges[-1]) < 2**53
    if not whole or len(counts) < 2:
        return edges, counts
    starts = [math.ceil(edge) for edge in edges[:-1]] + [math.floor(edges[-1]) + 1]
    kept: list[float] = [starts[0] - 0.5]
    merged: list[float] = []
    for place, count in enumerate(counts):
        if starts[place + 1] > starts[place]:
            kept.append(starts[place + 1] - 0.5)
            merged.append(count)
    return kept, merged


def heights(column: ColumnProfile, most: int) -> list[float]:
    """How densely values lie over the span, in at most so many stretches of as many bins each.

    >>> from tidemill.data.profile import measure_column
    >>> import polars as pl
    >>> heights(measure_column(pl.Series([0.0, 1.0, 1.0, 2.0])).profile, 2)
    [0.04, 0.12]
    """
    edges, counts = bins_of(column)
    step = math.ceil(len(counts) / most) if counts else 1
    span = edges[-1] - edges[0] if edges else 0.0
    out = []
    for place in range(0, len(counts), step):
        last = min(place + step, len(counts))
        share = (edges[last] - edges[place]) / span if span else 1.0
        out.append(sum(counts[place:last]) / (max(share, 1e-9) * len(counts)))
    return out
