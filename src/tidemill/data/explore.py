"""Look at a table: what each column holds, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tidemill.data.findings.finding import Finding
from tidemill.data.findings.keys import find_duplicates, find_in_keys
from tidemill.data.findings.labels import find_in_labels
from tidemill.data.findings.times import find_in_times
from tidemill.data.findings.values import find_in_values
from tidemill.data.profile import ColumnProfile, measure_column
from tidemill.data.types import Tabular, collected, require_columns
from tidemill.engine.step import step

_ORDER = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Exploration:
    """What is in a table: the profile of each column, and findings with the gravest first."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        return asdict(self)


@step(stage="explore")
def explore(
    table: Tabular,
    *,
    target: str | None = None,
    references: Mapping[str, Tabular] | None = None,
    keys: Mapping[str, str] | None = None,
) -> Exploration:
    """Profile every column and look for defects.

    Parameters
    ----------
    table
        A lazy or eager frame, or a result that holds one.
    target
        The column to predict, if there is one: adds findings about labels and columns that tell too much.
    references
        Tables that columns may point into, by name.
    keys
        Which column points where (``{"dest": "airports.faa"}``); by default this is found from the values.

    Returns
    -------
    Exploration
        Kinds of findings: ``impossible_value``, ``clock_as_number``, ``clock_2400``, ``hour_mismatch``,
        ``mostly_missing``, ``missing_labels``, ``orphan_keys``, ``duplicate_rows``, ``constant``, ``id_like``,
        ``null_token``, ``mixed_types``, ``encoding_damage``, ``spelling_variants``, ``suspiciously_predictive``.

    Examples
    --------
    >>> import polars as pl
    >>> weather = pl.DataFrame({"wind_speed": [float(speed) for speed in range(30)] + [1048.0]})
    >>> found = explore(weather).findings[0]
    >>> found.kind, found.examples
    ('impossible_value', (1048.0,))
    """
    frame = collected(table)
    if target is not None:
        require_columns(frame, [target], purpose="explore")
    measured = [measure_column(frame[name]) for name in frame.columns]
    tables = {name: collected(reference) for name, reference in (references or {}).items()}
    findings = [finding for column in measured for finding in find_in_values(column)]
    findings += find_in_times(measured)
    findings += find_in_keys(measured, tables, keys or {})
    findings += find_duplicates(frame)
    if target is not None:
        findings += find_in_labels(frame, target)
    findings.sort(key=lambda finding: (_ORDER[finding.severity], finding.column))
    return Exploration(frame.height, tuple(column.profile for column in measured), tuple(findings))
