"""What a person needs of a verb's result: the counts, a few short tables, and where to look next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from tidemill.core.errors import shorten
from tidemill.data.clean import Cleaned, CleaningReport
from tidemill.data.enrich import Enriched, JoinReport
from tidemill.data.findings.finding import number_of
from tidemill.data.fuzzy import FuzzyEnriched
from tidemill.data.split.record import PARTS, Splits
from tidemill.data.validate import Validated, ValidationReport

_RULES, _COLUMNS, _OPERATIONS, _DOUBTFUL, _NAMED = 20, 40, 40, 5, 8
_EXAMPLES = 70
_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60


@dataclass(frozen=True, slots=True)
class Listing:
    """A short table of text.

    Parameters
    ----------
    headers, rows
        Its cells.
    right
        The places of the columns that are flushed right.
    more
        What is said of the rows that are not listed; empty if all are.
    drop
        The places of the columns that a narrow screen may leave out, the first of them first.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()
    more: str = ""
    drop: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A result as it is shown: one line of counts, tables, notes, and what to look at next."""

    headline: str
    listings: Sequence[Listing] = ()
    notes: Sequence[str] = ()
    next: Sequence[str] = ()


def validation(report: ValidationReport) -> Shown:
    """The rules that rows broke, the worst first."""
    rows = [
        (
            item.severity, item.rule, f"{item.broken:,}", f"{item.checked:,}", f"{item.share:.1%}",
            shorten(list(item.examples), _EXAMPLES) if item.examples else "",
        )
        for item in report.broken
    ]  # fmt: skip
    headers = ("severity", "rule", "broken", "of", "share", "such as")
    return Shown(report.headline, _listed(headers, rows, _RULES, "broken rules", right={2, 3, 4}))


def validated(result: Validated) -> Shown:
    """The broken rules, and where the rows are."""
    shown = validation(result.report)
    where = [f".valid has {number_of(result.valid.height, 'row')}"]
    if result.quarantined.height:
        where.append(f".quarantined has {number_of(result.quarantined.height, 'row')} with their reasons")
    if result.exploration is not None:
        where.append(f".exploration has {number_of(len(result.exploration.findings), 'finding')} of all rows")
    return Shown(shown.headline, shown.listings, (), where)


def cleaning(report: CleaningReport) -> Shown:
    """What each operation did, and the columns that are not what they were."""
    operations = [
        (
            done.operation, _names(done.columns), f"{done.changed:,}", f"{done.removed:,}",
            f"{done.nulls_before:,}", f"{done.nulls_after:,}",
            f"{shorten(done.examples[0][0], 24)} to {shorten(done.examples[0][1], 24)}" if done.examples else "",
        )
        for done in report.operations
    ]  # fmt: skip
    columns = [
        (
            item.column, item.change, item.type_before or "", item.type_after or "",
            _count(item.missing_before), _count(item.missing_after),
        )
        for item in report.columns
        if item.change != "kept" or item.type_before != item.type_after or item.missing_before != item.missing_after
    ]  # fmt: skip
    heads = ("operation", "columns", "changed", "rows out", "missing before", "missing after", "for example")
    effects = ("column", "change", "type before", "type after", "missing before", "missing after")
    return Shown(
        f"{number_of(report.rows_before, 'row')} before, {report.rows_after:,} after",
        (
            *_listed(heads, operations, _OPERATIONS, "operations", right={2, 3, 4, 5}, drop=(4, 6)),
            *_listed(effects, columns, _COLUMNS, "changed columns", right={4, 5}, drop=(2, 4)),
        ),
    )


def cleaned(result: Cleaned) -> Shown:
    """What cleaning did, and where the rows are."""
    shown = cleaning(result.report)
    where = [f".table has {number_of(result.table.height, 'row')} and {number_of(result.table.width, 'column')}"]
    if result.quarantined.height:
        where.append(f".quarantined has {number_of(result.quarantined.height, 'row')} with their reasons")
    return Shown(shown.headline, shown.listings, (), where)


def join(report: JoinReport) -> Shown:
    """How many rows found a partner, and the keys that did not."""
    kind = {"key": "key join", "asof": "as-of join", "lookup": "lookup", "fuzzy": "fuzzy join"}[report.kind]
    by = f" by {_names(report.on)}" if report.on else ""
    headline = f"{kind}{by}: {report.matched:,} of {number_of(report.rows, 'row')} matched ({report.match_rate:.1%})"
    notes = [f"columns added: {_names(report.added) or 'none'}"]
    if report.missing_keys:
        notes.append(f"{number_of(report.missing_keys, 'row')} without a key could not match")
    if report.median_age is not None:
        notes.append(f"the median age of a partner is {_age(report.median_age)}")
    if report.asked or report.remembered:
        notes.append(f"asked for {number_of(report.asked, 'key')}, knew {report.remembered:,} from before")
    if report.failures:
        notes.append(f"{number_of(report.failures, 'key')} without an answer after errors")
    unmatched = [(shorten(key, _EXAMPLES), f"{rows:,}") for key, rows in report.unmatched]
    failed = [(shorten(key, _EXAMPLES), why) for key, why in report.failed]
    return Shown(
        headline,
        (
            *_listed(("without a partner", "rows"), unmatched, _RULES, "keys", right={1}),
            *_listed(("without an answer", "because"), failed, _RULES, "keys"),
        ),
        notes,
    )


def joined(result: Enriched | FuzzyEnriched) -> Shown:
    """How well the tables fitted, what is doubtful, and where the rows are."""
    shown = join(result.report)
    listings, where = list(shown.listings), [f".table has {number_of(result.table.height, 'row')}, each once"]
    if isinstance(result, FuzzyEnriched) and result.doubtful.height:
        keys = result.doubtful.columns[: result.doubtful.columns.index("partner")]
        rows = [
            (shorten(row[keys[-1]], 30), shorten(row["partner"], 30), f"{row['score']:.3f}", row["reason"])
            for row in result.doubtful.head(_DOUBTFUL).to_dicts()
        ]
        listings += _listed((keys[-1], "partner", "score", "doubtful: "), rows, _DOUBTFUL, "", right={2})
        where.append(f".doubtful has {number_of(result.doubtful.height, 'key')} that a person should look at")
    return Shown(shown.headline, listings, shown.notes, where)


def splits(result: Splits) -> Shown:
    """The parts with their rows, their spans and the target in them, what was left out, and what leaks."""
    spec, tables = result.spec, {name: getattr(result, name) for name in PARTS}
    total = sum(table.height for table in tables.values())
    title, measure, form = _target(spec.target, result.train)
    rows = []
    for name, table in tables.items():
        first, last = (str(moment or "")[:16].replace("T", " ") for moment in spec.spans.get(name, ("", "")))
        value = None if measure is None else table.select(measure).item()
        said = "" if value is None else format(value, form)
        rows.append((name, f"{table.height:,}", f"{table.height / max(total, 1):.1%}", first, last, said))
    headers = ("part", "rows", "share", "from", "to", title)
    left = [f"{number_of(count, 'row')} left out: {reason}" for reason, count in spec.left_out.items()]
    looked = ["same row", *(["same entity"] if spec.entity else []), *(["future in train"] if spec.time else [])]
    leaks = [f"leak: {number_of(count, *_LEAKS[name])}" for name, count in spec.overlaps.items()]
    method = str(spec.method.get("method", "")).replace("_", " ")
    return Shown(
        f"{number_of(total, 'row')} split {method} to predict {spec.target} from "
        f"{number_of(len(spec.features), 'feature')}",
        (Listing(headers, rows, frozenset({1, 2, 5})),),
        [*left, *(leaks or [f"no leak found; looked for: {', '.join(looked)}"])],
        [".train, .validation and .test are the tables, .spec says how they were made"],
    )


_LEAKS = {
    "same_row": ("later row that is also a training row", "later rows that are also training rows"),
    "same_entity": (
        "later row about an entity of the training rows", "later rows about an entity of the training rows",
    ),
    "future_in_train": (
        "training row later than the first later row", "training rows later than the first later row",
    ),
}  # fmt: skip


def _target(name: str, train: pl.DataFrame) -> tuple[str, pl.Expr | None, str]:
    """What is said of the target in a part, and how: the share of one answer, or the mean of a number."""
    column = train[name].drop_nulls()
    if column.dtype == pl.Boolean or (column.dtype.is_numeric() and set(column.unique().head(3)) <= {0, 1}):
        return f"share of {name}", pl.col(name).cast(pl.Float64).mean(), ".1%"
    if column.dtype.is_numeric():
        return f"mean {name}", pl.col(name).mean(), ",.4g"
    if column.dtype in (pl.String, pl.Categorical, pl.Enum) and column.len():
        answer = column.cast(pl.String).value_counts(sort=True)[name][0]
        return f"{name} = {shorten(answer, 20)}", (pl.col(name).cast(pl.String) == answer).mean(), ".1%"
    return name, None, ""


def _listed(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    most: int,
    what: str,
    *,
    right: Iterable[int] = (),
    drop: Sequence[int] = (),
) -> list[Listing]:
    """The first rows, if there are any."""
    more = f"… and {len(rows) - most:,} more {what}" if len(rows) > most else ""
    return [Listing(headers, rows[:most], frozenset(right), more, drop)] if rows else []


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _age(seconds: float) -> str:
    for unit, length in (("days", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if abs(seconds) >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
