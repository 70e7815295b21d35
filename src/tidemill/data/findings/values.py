"""Findings in the values of one column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from tidemill.data.findings.finding import Finding, FindingSeverity
from tidemill.data.profile import MeasuredColumn, Numbers
from tidemill.data.types import plain

#: A value is impossible when it lies this many times as far from the median as all others do …
_GAP = 3.0
#: … and also this many times the middle half's width; and when such values are rarer than this.
_WIDTHS = 10.0
_RARE = 0.001
_MIN_DISTINCT = 10
_MOSTLY_MISSING = 0.5
_EXAMPLES = 5
_NULL_TOKENS = frozenset(
    {"na", "n/a", "nan", "null", "none", "-", "--", "?", ".", "missing", "unknown", "#n/a", "(null)"}
)
_DAMAGED = r"�|Ã[\x80-\xBF]|â€|Â[\x80-\xBF]"


def find_in_values(column: MeasuredColumn) -> Iterator[Finding]:
    """Missing and constant columns, identifiers, impossible values, and damaged text."""
    profile = column.profile
    yield from _missing(column)
    if profile.distinct == 1 and profile.rows > 1:
        yield Finding(
            "constant", profile.name, "note", profile.rows - profile.nulls, 1 - profile.nulls / profile.rows,
            (profile.minimum,), f"{profile.name} has the same value in every row that has one.", "Drop the column.",
            {"kind": "drop_columns", "columns": [profile.name]},
        )  # fmt: skip
    is_whole = column.series.dtype.is_integer() or column.is_text
    if is_whole and profile.rows > _MIN_DISTINCT and profile.distinct == profile.rows:
        yield Finding(
            "id_like", profile.name, "note", profile.rows, 1.0, tuple(value for value, _ in profile.top[:_EXAMPLES]),
            f"{profile.name} is different in every row: it names rows and tells nothing about new ones.",
            "Use it as a key and not as a feature.",
        )  # fmt: skip
    if column.is_number:
        yield from _impossible(column)
    if column.is_text:
        yield from _text(column)


def _missing(column: MeasuredColumn) -> Iterator[Finding]:
    profile = column.profile
    share = profile.nulls / profile.rows if profile.rows else 0.0
    if share >= _MOSTLY_MISSING:
        yield Finding(
            "mostly_missing", profile.name, "warning", profile.nulls, share, (),
            f"{profile.name} is missing in {share:.1%} of rows.",
            "Drop it, or keep a flag of whether it is there.",
        )  # fmt: skip


def _impossible(column: MeasuredColumn) -> Iterator[Finding]:
    """Rare values that lie far beyond a gap in which nothing is."""
    values, counts = column.values.astype(np.float64), column.counts
    if len(values) < _MIN_DISTINCT or not np.isfinite(values).all():
        return
    quarter, median, three = _quartiles(values, counts)
    for sign in (1, -1):
        # The values ascend: seen from the median, so do those above it, and backwards those below it.
        original, number = values[::sign], counts[::sign]
        distance = (original - median) * sign
        first = _first_beyond_gap(distance, number, width=three - quarter)
        if first is None:
            continue
        count = int(number[first:].sum())
        examples = tuple(plain(value) for value in original[first:][::-1][:_EXAMPLES].tolist())
        name, bound = column.profile.name, "maximum" if sign > 0 else "minimum"
        times = distance[first] / distance[first - 1]
        yield Finding(
            "impossible_value", name, "error", count, count / column.profile.rows, examples,
            f"{name} = {examples[0]:,.6g} lies {times:.0f} times as far from the median "
            f"({median:,.6g}) as the next value ({original[first - 1]:,.6g}), with nothing between.",
            f"Make it missing: NullOutside({name!r}, {bound}={_exact(original[first - 1])}).",
            {"kind": "null_outside", "column": name, bound: plain(original[first - 1].item())},
        )  # fmt: skip


def _exact(value: float) -> str:
    """A number as code writes it, so that a bound made of it keeps it."""
    return repr(int(value)) if float(value).is_integer() else repr(float(value))


def _quartiles(values: Numbers, counts: Numbers) -> tuple[float, float, float]:
    total = np.cumsum(counts)
    low, middle, high = (float(values[np.searchsorted(total, share * total[-1])]) for share in (0.25, 0.5, 0.75))
    return low, middle, high


def _first_beyond_gap(distance: Numbers, counts: Numbers, width: float) -> int | None:
    """Index of the first value beyond the gap, in values ordered by their distance from the median; None if no gap."""
    beyond = np.cumsum(counts[::-1])[::-1]
    rare = beyond <= max(1.0, _RARE * beyond[0])
    candidates = np.flatnonzero(rare[1:] & (distance[:-1] > 0)) + 1
    if not len(candidates):
        return None
    ratio = distance[candidates] / distance[candidates - 1]
    far = (ratio >= _GAP) & (distance[candidates] > _WIDTHS * width)
    # The nearest common values must themselves be a crowd: a gap inside the sparse middle of a column says nothing.
    far &= candidates >= _MIN_DISTINCT // 2
    return int(candidates[far][0]) if far.any() else None


def _text(column: MeasuredColumn) -> Iterator[Finding]:
    name, rows = column.profile.name, column.profile.rows
    words = pl.DataFrame({"word": column.distinct, "count": column.counts})
    tokens = words.filter(pl.col("word").str.strip_chars().str.to_lowercase().is_in([*_NULL_TOKENS, ""]))
    if tokens.height:
        yield _of_words(
            "null_token", name, "warning", tokens, rows,
            f"{name} holds text that stands for a missing value.",
            f"Read it as missing: null_values = {_list(tokens)}.",
            {"kind": "null_values", "columns": [name], "values": tokens["word"].to_list()},
        )  # fmt: skip
    damaged = words.filter(pl.col("word").str.contains(_DAMAGED))
    if damaged.height:
        yield _of_words(
            "encoding_damage", name, "error", damaged, rows,
            f"{name} was decoded with the wrong character set.",
            'Read the source with the right encoding, such as "latin1", or give the letters back: RepairEncoding.',
            {"kind": "repair_encoding", "columns": [name]},
        )  # fmt: skip
    numeric = words.filter(pl.col("word").str.strip_chars().cast(pl.Float64, strict=False).is_not_null())
    share = int(numeric["count"].sum()) / max(1, int(words["count"].sum()))
    if 0.5 <= share < 1:
        rest = words.join(numeric, on="word", how="anti")
        yield _of_words(
            "mixed_types", name, "warning", rest, rows,
            f"{name} holds numbers in {share:.1%} of its values and text in the others.",
            "Cast it to a number, and decide what the text means.",
            {"kind": "cast", "column": name, "type": "float64"},
        )  # fmt: skip
    if column.profile.distinct >= rows / 2:
        return
    folded = words.with_columns(
        fold=pl.col("word").str.strip_chars().str.replace_all(r"[\s_-]+", " ").str.to_lowercase()
    )
    variants = folded.filter(pl.col("fold").is_duplicated()).sort("fold", "count")
    if variants.height:
        rarer = variants.filter(~pl.col("fold").is_last_distinct())
        yield _of_words(
            "spelling_variants", name, "warning", rarer.drop("fold"), rows,
            f"{name} writes the same category in different ways.",
            f"Merge them: NormaliseText or MergeCategories on {name!r}.",
            {"kind": "merge_categories", "column": name, "names": _most_common_spelling(variants)},
        )  # fmt: skip


def _most_common_spelling(variants: pl.DataFrame) -> dict[str, str]:
    """For each rarer spelling the most frequent one; `variants` are in order of fold and count."""
    best = variants.group_by("fold", maintain_order=True).last().rename({"word": "best"}).select("fold", "best")
    rest = variants.join(best, on="fold", how="left", maintain_order="left").filter(pl.col("word") != pl.col("best"))
    return dict(zip(rest["word"].to_list(), rest["best"].to_list(), strict=True))


def _list(words: pl.DataFrame) -> list[str]:
    return [str(word) for word in words["word"].head(_EXAMPLES)]


def _of_words(
    kind: str,
    column: str,
    severity: FindingSeverity,
    words: pl.DataFrame,
    rows: int,
    explanation: str,
    suggestion: str,
    remedy: Mapping[str, Any],
) -> Finding:
    count = int(words["count"].sum())
    return Finding(kind, column, severity, count, count / rows, tuple(_list(words)), explanation, suggestion, remedy)
