"""Join on names that are written differently: the most alike partner or none, and what a person should look at."""

from __future__ import annotations

import importlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl

from tidemill.core.errors import SchemaError, UsageError
from tidemill.data.enrich import (
    JoinReport,
    added_columns,
    join_report,
    key_pairs,
    renamed_keys,
    require_same_types,
    require_unique,
)
from tidemill.data.expected import NUMBER, TEXT, require
from tidemill.data.faces import as_html, as_text
from tidemill.data.types import Tabular, collected, physical_type, require_columns
from tidemill.engine.step import step

Measure: TypeAlias = Literal["letters", "words", "names"]

_SIMILARITY = "tidemill.integrations.similarity"
_MEASURES = ("letters", "words", "names")
#: Scores held at one time: 64 MiB.
_CELLS = 8_000_000
_ROWS = 256
_TEXTS = {"left": pl.String, "partner": pl.String, "score": pl.Float64, "runner_up": pl.String, "second": pl.Float64}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FuzzyEnriched:
    """The left table with the columns of its most alike partners, how well they fitted, and what is doubtful.

    Parameters
    ----------
    table
        Every left row, once, in its place.
    report
        The match rate and what did not match; ``added`` holds the columns that came from the right.
    doubtful
        One row for each left key that a person should look at, with the key columns, ``partner``, ``score``,
        ``runner_up``, ``second`` (its score), ``rows`` (how many left rows have the key) and the ``reason``:
        ``"tie"`` (several are equally alike: none is taken), ``"close second"``, ``"just above"`` (taken) or
        ``"just below"`` the threshold (not taken).
    """

    table: pl.DataFrame
    report: JoinReport
    doubtful: pl.DataFrame

    def __repr__(self) -> str:
        return f"FuzzyEnriched(rows={self.table.height}, doubtful={self.doubtful.height}, report={self.report!r})"

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


@step(stage="enrich")
def fuzzy_join(
    left: Tabular,
    right: Tabular,
    on: str | Mapping[str, str],
    *,
    threshold: float = 0.9,
    by: str | Sequence[str] | Mapping[str, str] = (),
    measure: Measure = "letters",
    margin: float = 0.05,
    columns: Sequence[str] | None = None,
    prefix: str = "",
    partner: str = "partner",
    score: str = "score",
) -> FuzzyEnriched:
    """Give each row the row of another table whose key is written most like its own.

    Case, accents, punctuation and spaces do not count. Of keys that differ only in those, the one that is written the
    same is taken. No pair that reaches the threshold is missed: what is not compared is too short or too long to.

    Parameters
    ----------
    left, right
        The rows, and the table to look them up in, whose keys must not repeat.
    on
        The text column that is compared; a mapping where the names differ: ``{"shop": "company"}``.
    threshold
        The least similarity of a partner, above 0 and up to 1.
    by
        Columns that must be equal, such as a country or a postcode: they make it faster and safer.
    measure
        ``"letters"`` compares the letters in order; ``"words"`` ignores the order of words; ``"names"``
        (Jaro-Winkler) gives weight to the beginning.
    margin
        How close to the threshold, or to the second best, is doubtful.
    columns, prefix
        The columns to add (by default all but the keys), and what to put before their names.
    partner, score
        The names of the columns that get the partner's key and the similarity.

    Raises
    ------
    DataError
        If a key repeats in `right`.
    SchemaError
        If columns are missing, are no text, or would replace others.
    MissingExtraError
        If RapidFuzz is not installed.

    Examples
    --------
    >>> shops = pl.DataFrame({"shop": ["CAFÉ  Aroma", "Cafe Arome", "Bakery"]})
    >>> known = pl.DataFrame({"name": ["Café Aroma", "Tea House"], "city": ["Lyon", "Bath"]})
    >>> out = fuzzy_join(shops, known, {"shop": "name"}, threshold=0.88)
    >>> out.table["city"].to_list(), out.table["score"].to_list(), out.doubtful["reason"].to_list()
    (['Lyon', 'Lyon', None], [1.0, 0.9, None], ['just above'])
    """
    frame, other = collected(left), collected(right)
    require("fuzzy_join", threshold=(threshold, NUMBER), margin=(margin, NUMBER), measure=(measure, TEXT))
    require("fuzzy_join", partner=(partner, TEXT), score=(score, TEXT))
    _check(threshold, margin, measure)
    (here, there), same = _compared(on), key_pairs(by)
    every = {**same, here: there}
    require_columns(frame, every, purpose="the left side of the join")
    require_columns(other, every.values(), purpose="the right side of the join")
    _require_text(frame, here)
    _require_text(other, there)
    require_same_types(frame, other, every)
    keyed = other.drop_nulls(list(every.values()))
    require_unique(keyed, list(every.values()))
    added = added_columns(frame, other, list(every.values()), columns, prefix)
    _require_names((partner, score), [*frame.columns, *added.values()])
    wanted = frame.select(*every).drop_nulls().unique(maintain_order=True)
    found = _partners(wanted, keyed.select(renamed_keys(every)), here, list(same), threshold, margin, measure)
    joined = _with_partners(frame, keyed, found, every, here, added)
    table = joined.rename({"partner:": partner, "score:": score})
    report = join_report("fuzzy", frame, every, table[partner].is_not_null(), added, None, {})
    return FuzzyEnriched(table, report, _doubtful(found, frame, list(every)))


def _with_partners(
    frame: pl.DataFrame,
    keyed: pl.DataFrame,
    found: pl.DataFrame,
    every: Mapping[str, str],
    here: str,
    added: Mapping[str, str],
) -> pl.DataFrame:
    """Every row with the columns of the partner that its key was given, and that partner's key and score."""
    same = {name: other for name, other in every.items() if name != here}
    taken = found.filter("taken").select(*every, *[pl.col(new).alias(f"{new}:") for new in ("partner", "score")])
    partners = keyed.select(
        *[pl.col(other).alias(f"by:{name}") for name, other in same.items()],
        pl.col(every[here]).alias("partner:"),
        *[pl.col(name).alias(f"added:{new}") for name, new in added.items()],
    )
    keys, theirs = [*same, "partner:"], [*[f"by:{name}" for name in same], "partner:"]
    joined = frame.join(taken, on=list(every), how="left", maintain_order="left")
    joined = joined.join(partners, left_on=keys, right_on=theirs, how="left", maintain_order="left")
    new = [pl.col(f"added:{name}").alias(name) for name in added.values()]
    return joined.select(*frame.columns, *new, "partner:", "score:")


def _partners(
    wanted: pl.DataFrame,
    offered: pl.DataFrame,
    key: str,
    same: list[str],
    threshold: float,
    margin: float,
    measure: Measure,
) -> pl.DataFrame:
    """For each distinct left key the most alike right key and the second; whether it is taken, and what is doubtful."""
    floor = max(threshold - margin, 1e-9)
    blocks = offered.partition_by(same, as_dict=True) if same else {(): offered}
    empty = pl.DataFrame(schema={**{name: wanted.schema[name] for name in same}, **_TEXTS})
    parts = [empty]
    for values, block in wanted.partition_by(same, as_dict=True).items() if same else [((), wanted)]:
        candidates = blocks.get(values)
        if candidates is None:
            continue
        rows = list(_matches(block[key].to_list(), candidates[key].to_list(), measure, floor))
        part = pl.DataFrame(rows, schema=_TEXTS, orient="row")
        fixed = [pl.lit(value, dtype=wanted.schema[name]).alias(name) for name, value in zip(same, values, strict=True)]
        parts.append(part.with_columns(fixed).select(empty.columns))
    found = pl.concat(parts).rename({"left": key})
    best, second = pl.col("score"), pl.col("second")
    tie = (best == second).fill_null(value=False)
    reason = (
        pl.when(best < threshold).then(pl.lit("just below"))
        .when(tie).then(pl.lit("tie"))
        .when(second >= best - margin).then(pl.lit("close second"))
        .when((best < threshold + margin) & (best < 1)).then(pl.lit("just above"))
    )  # fmt: skip
    return found.with_columns(taken=(best >= threshold) & ~tie, reason=reason)


def _matches(
    left: Sequence[str], right: Sequence[str], measure: Measure, floor: float
) -> Iterator[tuple[str, str, float, str | None, float | None]]:
    """The best and the second of each text that has a partner above the floor."""
    offered = sorted(((_plainly(text, measure), text) for text in right), key=lambda pair: len(pair[0]))
    texts, names = [text for text, _ in offered], [name for _, name in offered]
    lengths = np.array([len(text) for text in texts])
    queue = sorted(((_plainly(text, measure), text) for text in left), key=lambda pair: len(pair[0]))
    queue = [pair for pair in queue if pair[0]]  # of signs alone, nothing is left to compare
    step_rows = max(1, min(_ROWS, _CELLS // max(len(texts), 1)))
    scores = importlib.import_module(_SIMILARITY).scores
    for start in range(0, len(queue), step_rows):
        chunk = queue[start : start + step_rows]
        low, high = _lengths(len(chunk[0][0]), len(chunk[-1][0]), measure, floor)
        first, last = np.searchsorted(lengths, low, "left"), np.searchsorted(lengths, high, "right")
        if first == last:
            continue
        matrix = scores([text for text, _ in chunk], texts[first:last], measure, floor)
        for (_, name), row in zip(chunk, matrix, strict=True):
            found = _best_two(name, row, names[first:last])
            if found is not None:
                yield (name, *found)


def _best_two(
    name: str, row: np.ndarray[Any, Any], names: Sequence[str]
) -> tuple[str, float, str | None, float | None] | None:
    best = int(row.argmax())
    if row[best] <= 0:
        return None
    top = float(row[best])
    equal = [int(at) for at in np.flatnonzero(row == top)]
    same = [at for at in equal if names[at] == name]  # written the same, and not only alike
    if same:
        return names[same[0]], top, None, None
    if len(equal) > 1:
        return names[equal[0]], top, names[equal[1]], top
    rest = row.copy()
    rest[best] = 0
    second = int(rest.argmax())
    return (
        (names[best], top, names[second], float(rest[second])) if rest[second] > 0 else (names[best], top, None, None)
    )


def _lengths(shortest: int, longest: int, measure: Measure, floor: float) -> tuple[float, float]:
    """How long a partner can be: of insertions and deletions alone, a text that is much longer has too many."""
    if measure == "names":
        return 0, float("inf")
    return np.floor(shortest * floor / (2 - floor)), np.ceil(longest * (2 - floor) / floor)


def _plainly(text: str, measure: Measure) -> str:
    """The text without what does not count.

    >>> _plainly("  Café-Aroma, LYON ", "letters"), _plainly("Lyon Aroma", "words")
    ('cafe aroma lyon', 'aroma lyon')
    """
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    # Marks that are left are vowels of scripts that write them so.
    words = "".join(sign if sign.isalnum() or unicodedata.category(sign)[0] == "M" else " " for sign in bare.casefold())
    return " ".join(sorted(words.split()) if measure == "words" else words.split())


def _doubtful(found: pl.DataFrame, frame: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    counts = frame.group_by(keys).agg(pl.len().alias("rows:"))
    return (
        found.filter(pl.col("reason").is_not_null())
        .join(counts, on=keys, how="left")
        .sort("rows:", "score", *keys, descending=[True, True, *[False] * len(keys)])
        .select(*keys, "partner", "score", "runner_up", "second", pl.col("rows:").alias("rows"), "reason")
    )


def _check(threshold: float, margin: float, measure: str) -> None:
    if not 0 < threshold <= 1:
        raise UsageError("threshold is not above 0 and up to 1", value=threshold, hint="Write threshold=0.9, say.")
    if not 0 <= margin < 1:
        raise UsageError("margin is not between 0 and 1", value=margin, hint="Write margin=0.05, say.")
    if measure not in _MEASURES:
        raise UsageError("measure is unknown", value=measure, hint=f"Use one of {', '.join(_MEASURES)}.")


def _compared(on: str | Mapping[str, str]) -> tuple[str, str]:
    pairs = key_pairs(on)
    if len(pairs) != 1:
        raise UsageError("a fuzzy join compares one text column", value=list(pairs), hint="Give the others as by=[…].")
    return next(iter(pairs.items()))


def _require_text(frame: pl.DataFrame, column: str) -> None:
    if frame.schema[column] != pl.String:
        raise SchemaError(
            f"column {column!r} is {physical_type(frame.schema[column])}, and a fuzzy join compares text",
            hint="Cast it, or use key_join.",
        )


def _require_names(new: Sequence[str], taken: Sequence[str]) -> None:
    clash = [name for name in new if name in taken] or ([new[0]] if new[0] == new[1] else [])
    if clash:
        raise SchemaError(
            "the join would replace columns", value=clash, hint='Name them: partner="matched_name", score="likeness".'
        )
