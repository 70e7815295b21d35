"""Check a table against its contract in one scan; rows that break a rule go aside with the reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from tidemill.core import clock
from tidemill.core.errors import ConfigError, ContractError, shorten
from tidemill.data.contract import Severity, TableContract, contract_digest, require_contract
from tidemill.data.expected import FLAG, TABLES, TIME, require, require_set
from tidemill.data.explore import Exploration, explore
from tidemill.data.faces import as_html, as_text
from tidemill.data.findings.finding import number_of
from tidemill.data.rules import RowRule, row_rules, structure_breaks
from tidemill.data.settled import holds
from tidemill.data.table_rules import TableRule, table_rules
from tidemill.data.types import Tabular, collected, physical_type, plain
from tidemill.engine.step import step

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What a rule found: how many of the rows that it checked break it, and some of their values."""

    rule: str
    kind: str
    columns: tuple[str, ...]
    severity: Severity
    checked: int
    broken: int
    examples: tuple[Any, ...] = ()

    @property
    def share(self) -> float:
        """Broken rows as a share of those checked."""
        return self.broken / self.checked if self.checked else 0.0


@dataclass(frozen=True, slots=True, repr=False)
class ValidationReport:
    """The outcome of every rule, and where the rows went; printed, the broken rules with some of their values."""

    contract: str
    rows: int
    valid: int
    quarantined: int
    outcomes: tuple[RuleOutcome, ...]
    contract_digest: str = ""

    @property
    def broken(self) -> tuple[RuleOutcome, ...]:
        """The outcomes of the rules that some row breaks, the worst first."""
        return tuple(sorted((item for item in self.outcomes if item.broken), key=lambda item: -item.broken))

    @property
    def headline(self) -> str:
        """The counts of rows and rules in one line."""
        rows = f"{number_of(self.rows, 'row')}, {self.valid:,} valid, {self.quarantined:,} in quarantine"
        return f"{self.contract}: {rows}; {number_of(len(self.outcomes), 'rule')}, {len(self.broken)} broken"

    def __repr__(self) -> str:
        return f"ValidationReport(rows={self.rows}, valid={self.valid}, broken={len(self.broken)})"

    def _repr_html_(self) -> str:
        return as_html(self)

    def __str__(self) -> str:
        return as_text(self)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Validated:
    """The good rows in their order, the others with a ``reasons`` column, the report, and the contract they keep.

    `exploration` is of all rows, before any went aside, where it was asked for (``profile=True``).
    """

    valid: pl.DataFrame
    quarantined: pl.DataFrame
    report: ValidationReport
    contract: TableContract | None = None
    exploration: Exploration | None = None

    def __repr__(self) -> str:
        return f"Validated(valid={self.valid.height}, quarantined={self.quarantined.height}, report={self.report!r})"

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def _moment_of_check(arguments: dict[str, Any]) -> dict[str, Any]:
    """The time is an input of a step that checks how fresh a table is: a result of yesterday does not answer today."""
    contract = arguments.get("contract")
    # Of a contract that another step makes it is not known yet whether it asks for freshness.
    may_ask = not isinstance(contract, TableContract) or contract.freshness
    if may_ask and arguments.get("now") is None:
        return {**arguments, "now": clock.now()}
    return arguments


@step(stage="validate", resolve=_moment_of_check)
def validate(
    table: Tabular,
    contract: TableContract,
    references: Mapping[str, Tabular] | None = None,
    *,
    fail: bool = True,
    now: datetime | None = None,
    profile: bool = False,
) -> Validated:
    """Check every rule of a contract in one scan.

    Parameters
    ----------
    table
        A lazy or eager frame, or a result that holds one.
    contract
        What it must be.
    references
        The tables that foreign keys point into, by the name that the contract gives them.
    fail
        Whether a broken rule of severity ``fail`` raises; if not, its rows go to quarantine.
    now
        The time against which freshness is checked; by default the clock's.
    profile
        Whether to explore the table as well, in the same reading (see `tidemill.data.explore.explore`). Rules that hold
        by the profile of their column are then not checked row by row.

    Raises
    ------
    ContractError
        If a column is missing or of the wrong type, the number of rows is out of bounds, a failing rule is broken, or
        more rows would go to quarantine than the contract allows. The message has counts and sample values.

    Examples
    --------
    >>> from tidemill.data.contract import ColumnRule
    >>> contract = TableContract("weather", (ColumnRule("wind_speed", "number", minimum=0, maximum=200),))
    >>> checked = validate(pl.DataFrame({"wind_speed": [10.4, 1048.4, None]}), contract)
    >>> checked.valid.height, checked.quarantined["reasons"].to_list()
    (2, [['wind_speed > 200']])
    """
    require_contract(contract)
    require("validate", fail=(fail, FLAG), profile=(profile, FLAG))
    require_set("validate", references=(references, TABLES), now=(now, TIME))
    frame = collected(table)
    breaks = structure_breaks(frame, contract)
    if breaks:
        raise ContractError(
            f"table {contract.name!r} is not what its contract says: {'; '.join(breaks)}",
            hint="Correct the source, or change the contract if this is the new normal.",
        )
    tables = {name: collected(reference) for name, reference in (references or {}).items()}
    exploration = explore(frame, references=tables) if profile else None
    with _fitting(contract):
        rules = row_rules(frame, contract, tables)
    marks = _marks(frame, contract, rules, exploration)
    outcomes = tuple(_outcome(frame, rule, marks.get(index)) for index, rule in enumerate(rules))
    whole = tuple(_table_outcome(rule) for rule in table_rules(frame, contract, now or clock.now()))
    if fail:
        _raise_if_failed(contract, outcomes + whole)
    sorting = [index for index in marks if rules[index].severity != "warn" and outcomes[index].broken]
    bad = pl.select(pl.any_horizontal(marks[index] for index in sorting)).to_series() if sorting else None
    valid = frame if bad is None else frame.filter(~bad)
    quarantined = _quarantine(frame, rules, marks, sorting, bad)
    report = ValidationReport(
        contract.name, frame.height, valid.height, quarantined.height, outcomes + whole, contract_digest(contract)
    )
    if quarantined.height > contract.max_quarantined * frame.height:
        worst = max(outcomes, key=lambda item: item.broken)
        raise ContractError(
            f"{quarantined.height:,} of {frame.height:,} rows of {contract.name!r} would go to quarantine, mostly for "
            f"{worst.rule!r} (such as {shorten(list(worst.examples))})",
            hint=f"More than max_quarantined = {contract.max_quarantined:g} of the table: correct source or contract.",
        )
    _require_rows(report, contract)
    return Validated(valid, quarantined, report, contract, exploration)


def _require_rows(report: ValidationReport, contract: TableContract) -> None:
    if report.rows and not report.valid and contract.min_rows:
        raise ContractError(
            f"all {report.rows:,} rows of {contract.name!r} would go to quarantine: none is left",
            value=[item.rule for item in report.broken if item.severity != "warn"],
            hint="Correct the source or the rules; with min_rows = 0 an empty table is a result.",
        )


def _marks(
    frame: pl.DataFrame, contract: TableContract, rules: list[RowRule], exploration: Exploration | None
) -> dict[int, pl.Series]:
    """For each rule that is not known to hold, by its place: true in the rows that break it."""
    profiles = {} if exploration is None else {column.name: column for column in exploration.columns}
    with _fitting(contract):
        visited = {index: f"rule:{index}" for index, rule in enumerate(rules) if not holds(rule, frame, profiles)}
        # Beside the columns of the table, what is the same for every row is there for each of them.
        marked = frame.lazy().with_columns(
            rules[index].broken.fill_null(value=False).alias(name) for index, name in visited.items()
        )
        try:
            marks = dict(zip(visited, marked.select(visited.values()).collect().iter_columns(), strict=True))
        except pl.exceptions.PolarsError:
            for index in visited:
                with _fitting(contract, rules[index].name):
                    frame.select(rules[index].broken)
            raise
    for index, mark in marks.items():
        if mark.dtype != pl.Boolean:
            raise ConfigError(
                f"check {rules[index].name!r} is no condition: it is not true or false but {physical_type(mark.dtype)}",
                hint="Write a comparison.",
            )
    return marks


@contextmanager
def _fitting(contract: TableContract, rule: str | None = None) -> Iterator[None]:
    try:
        yield
    except pl.exceptions.PolarsError as error:
        raise ConfigError(
            f"a rule of the contract {contract.name!r} does not fit the table: {str(error).splitlines()[0]}",
            value=rule,
            hint="Check the conditions, ranges, sets and keys against the columns' types.",
        ) from error


def _outcome(frame: pl.DataFrame, rule: RowRule, marks: pl.Series | None) -> RuleOutcome:
    broken = 0 if marks is None else int(marks.sum())
    examples: tuple[Any, ...] = ()
    if marks is not None and broken:
        sample = frame.select(rule.columns).filter(marks).unique(maintain_order=True).head(_EXAMPLES)
        rows = sample.rows() if len(rule.columns) > 1 else sample.to_series().to_list()
        examples = tuple(plain(row) for row in rows)
    return RuleOutcome(rule.name, rule.kind, rule.columns, rule.severity, frame.height, broken, examples)


def _table_outcome(rule: TableRule) -> RuleOutcome:
    return RuleOutcome(rule.name, rule.kind, (rule.column,), rule.severity, 1, int(rule.broken), (rule.value,))


def _quarantine(
    frame: pl.DataFrame, rules: list[RowRule], marks: dict[int, pl.Series], sorting: list[int], bad: pl.Series | None
) -> pl.DataFrame:
    if bad is None:
        return frame.clear().with_columns(reasons=pl.lit([], dtype=pl.List(pl.String)))
    reasons = pl.DataFrame([marks[index] for index in sorting]).filter(bad).select(
        pl.concat_list(
            pl.when(pl.col(f"rule:{index}")).then(pl.lit(rules[index].name)).otherwise(None) for index in sorting
        )
        .list.drop_nulls()
        .alias("reasons")
    )  # fmt: skip
    return frame.filter(bad).with_columns(reasons["reasons"])


def _raise_if_failed(contract: TableContract, outcomes: tuple[RuleOutcome, ...]) -> None:
    failed = [item for item in outcomes if item.severity == "fail" and item.broken]
    if failed:
        what = "; ".join(f"{item.rule!r}{_extent(item)}, such as {shorten(list(item.examples), 80)}" for item in failed)
        raise ContractError(
            f"table {contract.name!r} breaks its contract: {what}",
            hint='Correct the data, or give the rule the severity "quarantine" to set such rows aside.',
        )


def _extent(item: RuleOutcome) -> str:
    return "" if item.kind in ("freshness", "distribution") else f" in {item.broken:,} of {item.checked:,} rows"
