"""Findings in the words of a column of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from tidemill.data.findings.finding import Finding, FindingSeverity
from tidemill.data.profile import MeasuredColumn

_EXAMPLES = 5
_MOSTLY = 0.5
_FEWEST = 5
#: From here on a change of type is a stretch: so many of the rows after its first row have it.
_STRETCH = 0.9
_NULL_TOKENS = frozenset(
    {"na", "n/a", "nan", "null", "none", "nil", "-", "--", "?", ".", "missing", "unknown", "#n/a", "(null)", "<na>",
     "nat", "#value!", "#ref!", "#div/0!", "not available", "not applicable", "undefined"}
)  # fmt: skip
_REPLACED = "\ufffd"
#: Ways of writing a date.
_DATES = {
    "2024-12-31": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?$",
    "31/12/2024": r"^\d{1,2}/\d{1,2}/\d{4}([T ,].*)?$",
    "31.12.2024": r"^\d{1,2}\.\d{1,2}\.\d{4}([T ,].*)?$",
    "31-12-2024": r"^\d{1,2}-\d{1,2}-\d{4}([T ,].*)?$",
    "2024/12/31": r"^\d{4}/\d{1,2}/\d{1,2}([T ,].*)?$",
    "20241231": r"^(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$",
    "31 Dec 2024": r"^\d{1,2}[ -][A-Za-z]{3,9}[ -]\d{2,4}$",
    "Dec 31, 2024": r"^[A-Za-z]{3,9} \d{1,2},? \d{4}$",
}
_OFFSET = r"T\d{2}:\d{2}.*?([+-]\d{2}:?\d{2}|Z)$"


def find_in_words(column: MeasuredColumn) -> Iterator[Finding]:
    """Text for missing values, damaged letters, numbers and dates among text, categories written in several ways."""
    name, rows = column.profile.name, column.profile.rows
    words = pl.DataFrame({"word": column.distinct, "count": column.counts})
    tokens = words.filter(pl.col("word").str.strip_chars().str.to_lowercase().is_in([*_NULL_TOKENS, ""]))
    usual = bool(tokens.height) and int(tokens["count"].max()) > _MOSTLY * int(words["count"].sum())  # type: ignore[arg-type]
    if tokens.height:
        # What most rows have may as well be an answer, such as no damage.
        yield of_words(
            "null_token", name, "note" if usual else "warning", tokens, rows,
            f"{name} holds text that stands for a missing value.",
            f"Read it as missing: null_values = {_list(tokens)}.",
            {} if usual else {"kind": "null_values", "columns": [name], "values": tokens["word"].to_list()},
        )  # fmt: skip
    yield from _damaged(name, rows, words)
    spoken = words.join(tokens, on="word", how="anti")
    typed = list(_types(column, spoken))
    yield from typed
    if all(finding.severity == "note" for finding in typed):
        yield from _variants(column, words)


def _damaged(name: str, rows: int, words: pl.DataFrame) -> Iterator[Finding]:
    """Letters that were read in the wrong character set: bytes of UTF-8 taken for Latin-1 or Windows-1252."""
    foreign = words.filter(pl.col("word").str.contains(r"[^\x00-\x7F]"))
    damaged = foreign.filter(pl.Series([_is_misread(word) for word in foreign["word"]], dtype=pl.Boolean))
    if damaged.height:
        yield of_words(
            "encoding_damage", name, "error", damaged, rows,
            f"{name} was decoded with the wrong character set.",
            'Read the source with the right encoding, such as "latin1", or give the letters back: RepairEncoding.',
            {"kind": "repair_encoding", "columns": [name]},
        )  # fmt: skip


def _is_misread(word: str) -> bool:
    """Whether the letters, written as bytes of a Western character set, are valid UTF-8: no real word's are."""
    if _REPLACED in word:
        return True
    for charset in ("latin-1", "cp1252"):
        try:
            word.encode(charset).decode("utf-8")
        except UnicodeError:
            continue
        return True
    return False


def _types(column: MeasuredColumn, words: pl.DataFrame) -> Iterator[Finding]:
    """Numbers or dates that are text, alone or among other text."""
    name, rows = column.profile.name, column.profile.rows
    number = pl.col("word").str.strip_chars().cast(pl.Float64, strict=False).is_not_null()
    numeric, rest = words.filter(number), words.filter(~number)
    share = int(numeric["count"].sum()) / max(1, int(words["count"].sum()))
    mostly = share >= _MOSTLY or (numeric.height >= 2 * _FEWEST and numeric.height >= _MOSTLY * words.height)
    if rest.height and share > 0 and mostly:
        yield of_words(
            "mixed_types", name, "warning", rest, rows,
            f"{name} holds numbers in {share:.1%} of its values and text in the others{_since(column, rest)}.",
            "Cast it to a number, and decide what the text means.",
            {"kind": "cast", "column": name, "type": "float64"},
        )  # fmt: skip
    elif not rest.height and numeric.height >= _FEWEST and not numeric["word"].str.contains(r"^\s*[+-]?0\d").any():
        yield of_words(
            "number_as_text", name, "note", numeric, rows,
            f"{name} is text, and every value is a number.", "Cast it, unless it is a code.",
            {"kind": "cast", "column": name, "type": "float64"},
        )  # fmt: skip
    elif rest.height:
        yield from _dates(column, rest)


def _since(column: MeasuredColumn, rest: pl.DataFrame) -> str:
    """Where the text begins, if nearly every row from there on has it."""
    text = column.series.cast(pl.String).is_in(rest["word"].implode()).fill_null(value=False)
    first = int(text.arg_max() or 0)
    after = column.series[first:].is_not_null().sum()
    return f", from row {first + 1:,} on" if first and int(text.sum()) >= _STRETCH * int(after) else ""


def _dates(column: MeasuredColumn, words: pl.DataFrame) -> Iterator[Finding]:
    name, rows = column.profile.name, column.profile.rows
    first = words["word"].head(100).str
    if not any(first.contains(pattern).any() for pattern in _DATES.values()):
        return
    ways = {shown: words.filter(pl.col("word").str.contains(pattern)) for shown, pattern in _DATES.items()}
    ways = dict(
        sorted(((shown, way) for shown, way in ways.items() if way.height), key=lambda way: -way[1]["count"].sum())
    )
    total = int(words["count"].sum())
    dated = sum(int(way["count"].sum()) for way in ways.values())
    if dated < _STRETCH * total or words.height < _FEWEST:
        return
    if len(ways) > 1:
        others = pl.concat(list(ways.values())[1:])
        yield of_words(
            "mixed_dates", name, "warning", others, rows,
            f"{name} writes dates in {len(ways)} ways: like {', '.join(ways)}.",
            "Parse each way with its own format: a parser that guesses takes days for months.", {},
        )  # fmt: skip
        return
    offsets = words["word"].str.extract(_OFFSET).drop_nulls().unique().sort()
    if len(offsets) > 1:
        yield Finding(
            "mixed_offsets", name, "warning", total, total / rows, tuple(words["word"].head(_EXAMPLES).to_list()),
            f"{name} holds times with {len(offsets)} offsets from UTC ({', '.join(offsets.head(4))}): clock times do "
            "not compare, and offsets change with daylight saving time.",
            "Parse them as moments in UTC (ParseTime), and take the local hour from those.",
        )  # fmt: skip
        return
    yield of_words(
        "time_as_text", name, "note", words, rows, f"{name} is text that holds times.", "Parse it: ParseTime.", {}
    )  # fmt: skip


def _variants(column: MeasuredColumn, words: pl.DataFrame) -> Iterator[Finding]:
    name, rows = column.profile.name, column.profile.rows
    folded = words.with_columns(
        fold=pl.col("word").str.strip_chars().str.replace_all(r"[\s_-]+", " ").str.to_lowercase()
    )
    variants = folded.filter(pl.col("fold").is_duplicated()).sort("fold", "count")
    if variants.height and column.profile.distinct < rows / 2:
        rarer = variants.filter(~pl.col("fold").is_last_distinct())
        yield of_words(
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


def of_words(
    kind: str,
    column: str,
    severity: FindingSeverity,
    words: pl.DataFrame,
    rows: int,
    explanation: str,
    suggestion: str,
    remedy: Mapping[str, Any],
) -> Finding:
    """A finding about these words, which `words` counts."""
    count = int(words["count"].sum())
    return Finding(kind, column, severity, count, count / rows, tuple(_list(words)), explanation, suggestion, remedy)
