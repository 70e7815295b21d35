"""Look at a table: what each column holds, how columns go together, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from tidemill.core.sizes import bytes_of
from tidemill.data.availability import Declared, declared_availability
from tidemill.data.declared import project_prediction, project_sources
from tidemill.data.examining import examine
from tidemill.data.expected import PAIRS, TABLES, TEXT, require_set
from tidemill.data.faces import as_html, as_text
from tidemill.data.findings.consequences import without_consequences
from tidemill.data.findings.doubtful import find_doubtful_labels
from tidemill.data.findings.finding import Finding
from tidemill.data.findings.labels import find_in_labels
from tidemill.data.findings.leaks import find_leaks
from tidemill.data.findings.parts import PartDrift, find_in_parts, new_values, part_drift
from tidemill.data.findings.sequence import find_in_sequence
from tidemill.data.findings.units import find_unit_breaks
from tidemill.data.profile import ColumnProfile
from tidemill.data.relations.associations import Association, Relation, associations, relations, without_associations
from tidemill.data.relations.coverage import TimeCoverage
from tidemill.data.relations.missing import MissingPattern
from tidemill.data.semantic_types import Semantic, semantic_types
from tidemill.data.types import Frame, Tabular, collected, require_columns
from tidemill.engine.step import step

#: The memory that exploring a lazy table may take, in bytes.
MEMORY = 2 * 1024**3

_ORDER = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True, repr=False)
class Exploration:
    """What is in a table: the profile of each column, and findings with the gravest first.

    As text (`str`) it is a screen to read, in a notebook a picture; `to_dict` has everything.

    Parameters
    ----------
    rows, columns, findings
        See `explore`.
    associations
        How strongly columns go together, the strongest first.
    relations
        What each column alone tells about the target, the most telling first; none without a target.
    keys
        Columns, or sets of two or three, that tell every row apart.
    coverage
        The span of each time column and its holes.
    missing
        The most frequent combinations of columns that are missing in the same row.
    drift
        How far other parts of the table are from it, column by column.
    basis
        Which rows each part of this record was computed from.
    semantic
        By column, what its values stand for and why that is believed.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    findings: tuple[Finding, ...]
    associations: tuple[Association, ...] = ()
    relations: tuple[Relation, ...] = ()
    keys: tuple[tuple[str, ...], ...] = ()
    coverage: tuple[TimeCoverage, ...] = ()
    missing: tuple[MissingPattern, ...] = ()
    drift: tuple[PartDrift, ...] = ()
    basis: Mapping[str, str] = field(default_factory=dict)
    semantic: Mapping[str, Semantic] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Exploration(rows={self.rows}, columns={len(self.columns)}, findings={len(self.findings)})"

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        return asdict(self)


def _with_declared(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `explore` with what the project declares about the times at which columns are known."""
    given, at = arguments.get("available_at"), arguments.get("prediction_time")
    if not isinstance(given, Declared):
        require_set("explore", available_at=(given, PAIRS))
    require_set("explore", prediction_time=(at, TEXT))
    if given is None:
        moments = declared_availability(project_sources()[1])
        given = Declared(moments) if moments else None
    if given is not None and at is None:
        at = project_prediction().get("at")
        given = None if at is None and isinstance(given, Declared) else given
    memory = bytes_of(arguments.get("memory", MEMORY))  # written in another way, it is the same memory
    return {**arguments, "available_at": given, "prediction_time": at, "memory": memory}


@step(stage="explore", resolve=_with_declared)
def explore(
    table: Tabular,
    *,
    target: str | None = None,
    references: Mapping[str, Tabular] | None = None,
    keys: Mapping[str, str] | None = None,
    parts: Mapping[str, Tabular] | None = None,
    available_at: Mapping[str, str] | Declared | None = None,
    prediction_time: str | None = None,
    memory: int | str = MEMORY,
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
    parts
        Other parts of the same table, such as ``{"test": splits.test}``, to compare with it.
    available_at
        For a column, when it is known: ``{"dep_delay": "departed_at"}``, ``"*"`` for all others. By default what the
        project's sources declare.
    prediction_time
        When the prediction is made: ``"sched_dep - 2h"``. By default ``prediction.at`` of the canvas.
    memory
        What exploring may take: bytes, or text such as ``"1.5 GiB"``. A lazy table for which that is too little is
        read a few columns at a time; what concerns whole rows, and a column that is too large alone, is then taken from
        a sample (see `basis`).

    Returns
    -------
    Exploration
        The kinds of findings are listed at `tidemill.data.findings.finding.Finding`.

    Examples
    --------
    >>> import polars as pl
    >>> weather = pl.DataFrame({"wind_speed": [float(speed) for speed in range(30)] + [1048.0]})
    >>> found = explore(weather).findings[0]
    >>> found.kind, found.examples
    ('impossible_value', (1048.0,))
    """
    require_set("explore", target=(target, TEXT), references=(references, TABLES), parts=(parts, TABLES))
    require_set("explore", keys=(keys, PAIRS))
    given: Frame = table if isinstance(table, pl.LazyFrame) else collected(table)
    if target is not None:
        require_columns(given, [target], purpose="explore")
    tables = {name: collected(reference) for name, reference in (references or {}).items()}
    seen = examine(given, tables, keys or {}, memory=bytes_of(memory))
    findings = [*seen.findings, *find_in_sequence(seen.sample, seen.rows), *find_unit_breaks(seen.sample, seen.rows)]
    findings += find_leaks(seen.labels, available_at, prediction_time, target)
    if target is not None:
        findings += find_in_labels(seen.labels, target)
        findings += find_doubtful_labels(seen.sample, target)
    drift = tuple(
        item for name, part in (parts or {}).items() for item in part_drift(seen.sample, collected(part), name)
    )
    findings += find_in_parts(drift, seen.rows)
    for name, part in (parts or {}).items():
        findings += new_values(seen.labels, collected(part), name)
    beyond = without_associations(seen.sample)
    if beyond:
        seen.basis["associations"] = f"{beyond:,} columns beyond the first numbers and categories are not compared"
    findings = without_consequences(findings)
    findings.sort(key=lambda finding: (_ORDER[finding.severity], finding.column))
    return Exploration(
        seen.rows,
        tuple(seen.profiles),
        tuple(findings),
        associations(seen.sample),
        () if target is None else relations(seen.sample, target),
        seen.keys,
        tuple(seen.coverage),
        seen.missing,
        drift,
        seen.basis,
        semantic_types(seen.profiles, seen.sample),
    )
