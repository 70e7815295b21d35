"""How good is the search for errors on a table like mine: put known faults in, and count what is found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidemill.data.disturb import Injected, disturb
from tidemill.data.explore import explore
from tidemill.data.findings.finding import Finding
from tidemill.data.generation.disturbances import Disturbance, NewCategory, Prevalence, Scale, Shift
from tidemill.data.types import Tabular, collected

#: The kinds of findings that name a disturbance: any of them, in a column that it struck or about whole rows.
ANSWERS: dict[str, tuple[str, ...]] = {
    "shift": ("part_drift",),
    "scale": ("part_drift", "unit_break"),
    "new_category": ("part_drift", "new_values"),
    "prevalence": ("part_drift",),
    "nulls": ("missing_values", "missing_burst", "mostly_missing", "missing_labels"),
    "null_tokens": ("null_token",),
    "unit_change": ("unit_break",),
    "outliers": ("impossible_value",),
    "sentinels": ("sentinel", "impossible_value"),
    "mixed_types": ("mixed_types",),
    "encoding_damage": ("encoding_damage",),
    "spelling": ("spelling_variants",),
    "orphans": ("orphan_keys",),
    "duplicated_batch": ("duplicate_rows",),
    "near_duplicates": ("near_duplicates", "duplicate_rows"),
    "late_rows": ("late_rows",),
    "gap": ("time_gap",),
    "schema_change": ("mixed_types", "number_as_text", "time_as_text"),
    "sign_flip": ("sign_flip", "impossible_value"),
    "rounding": ("precision_change", "stuck_values", "constant"),
    "stuck": ("stuck_values", "constant"),
    "swapped": ("swapped_columns",),
    "zone_shift": ("clock_shift", "hour_mismatch", "late_rows", "time_gap"),
    "leak": ("suspiciously_predictive",),
    "label_noise": ("doubtful_labels",),
}

_DRIFT = (Shift, Scale, Prevalence, NewCategory)


@dataclass(frozen=True, slots=True)
class JudgedFault:
    """One fault that was put in, the finding that names it (None: it was missed), and alarms that do not.

    `strays` are the errors and warnings that came with the fault and name neither it nor its column.
    """

    injected: Injected
    finding: Finding | None
    strays: tuple[Finding, ...]

    @property
    def changed(self) -> bool:
        """Whether the fault changed anything: a small share of few rows may be none."""
        return bool(self.injected.rows or self.injected.removed or self.injected.added)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What explore found of the faults that were put in, and the alarms on the table as it came.

    `alarms` are errors and warnings before anything was put in: false ones, unless the table really has the defect.
    """

    faults: tuple[JudgedFault, ...]
    alarms: tuple[Finding, ...]

    @property
    def recall(self) -> float:
        """The share of faults that was found, of those that changed something; NaN if none was put in."""
        put_in = [fault for fault in self.faults if fault.changed]
        return sum(fault.finding is not None for fault in put_in) / len(put_in) if put_in else math.nan


def judge_exploration(
    table: Tabular,
    faults: Sequence[Disturbance],
    *,
    target: str | None = None,
    references: Mapping[str, Tabular] | None = None,
    keys: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Judgement:
    """Put each fault into a fresh copy of the table, explore it, and see whether a finding names the fault.

    A finding names a fault if it was not there before (or not about as many rows), is of a kind that fits (`ANSWERS`),
    and is about a column that was struck or about whole rows. Drift is looked for between the rows before it begins and
    those after.

    Parameters
    ----------
    table
        The rows, as clean as they are.
    faults
        Disturbances, such as those of `tidemill.data.generation.typical.typical_faults`.
    target, references, keys
        As for `explore`.
    seed
        For the choice of rows.

    Examples
    --------
    >>> import polars as pl
    >>> from tidemill.data.generation.disturbances import Outliers, Spelling
    >>> table = pl.DataFrame({"mass": [value * 37 % 500 / 7 for value in range(500)], "port": ["Oslo", "Bergen"] * 250})
    >>> judged = judge_exploration(table, [Outliers("mass", 4000.0, 2), Spelling("port")])
    >>> judged.recall, len(judged.alarms)
    (1.0, 0)
    """
    frame = collected(table)
    before = explore(frame, target=target, references=references, keys=keys).findings
    known = {(finding.kind, finding.column): finding.count for finding in before}
    judged = []
    for place, fault in enumerate(faults):
        out = disturb(frame, [fault], seed=seed + place)
        truth, parts, looked_at = out.truth[0], None, out.table
        if isinstance(fault, _DRIFT):
            looked_at, parts = out.table[: truth.since], {"later": out.table[truth.since :]}
        seen = explore(looked_at, target=target, references=references, keys=keys, parts=parts).findings
        judged.append(_judged(truth, seen, known))
    return Judgement(tuple(judged), tuple(finding for finding in before if finding.severity != "note"))


def _judged(truth: Injected, seen: Sequence[Finding], known: Mapping[tuple[str, str], int]) -> JudgedFault:
    columns = {*truth.columns, truth.disturbance.get("into"), "*"}
    named = [
        finding for finding in seen
        if finding.kind in ANSWERS[truth.kind] and (finding.column in columns or not truth.columns)
        and known.get((finding.kind, finding.column)) != finding.count
    ]  # fmt: skip
    strays = tuple(
        finding for finding in seen
        if finding not in named and finding.severity != "note" and (finding.kind, finding.column) not in known
        and finding.column not in columns - {"*"}
    )  # fmt: skip
    return JudgedFault(truth, named[0] if named else None, strays)
