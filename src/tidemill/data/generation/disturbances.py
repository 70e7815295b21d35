"""What can go wrong with a table, as records: drift that is real, and faults that are errors.

`since` is the share of rows, in their order, after which a disturbance begins; `share` the share of the rows from there
on that it strikes, at random.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from tidemill.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Shift:
    """Drift: numbers grow by an amount."""

    column: str
    by: float
    since: float = 0.5
    share: float = 1.0
    kind: Literal["shift"] = "shift"


@dataclass(frozen=True, slots=True)
class Scale:
    """Drift: numbers grow by a factor."""

    column: str
    factor: float
    since: float = 0.5
    share: float = 1.0
    kind: Literal["scale"] = "scale"


@dataclass(frozen=True, slots=True)
class NewCategory:
    """Drift: a category appears that was not there."""

    column: str
    value: str
    share: float = 0.1
    since: float = 0.5
    kind: Literal["new_category"] = "new_category"


@dataclass(frozen=True, slots=True)
class Prevalence:
    """Drift: a value becomes more or less common, to `share` of the rows from `since` on; rows are left out for it."""

    column: str
    value: Any
    share: float
    since: float = 0.5
    kind: Literal["prevalence"] = "prevalence"


@dataclass(frozen=True, slots=True)
class LabelNoise:
    """Fault: a label is replaced by another label of the column."""

    column: str
    share: float = 0.1
    since: float = 0.0
    kind: Literal["label_noise"] = "label_noise"


@dataclass(frozen=True, slots=True)
class Nulls:
    """Fault: values go missing; in several columns, in the same rows."""

    columns: tuple[str, ...]
    share: float = 0.1
    since: float = 0.0
    kind: Literal["nulls"] = "nulls"


@dataclass(frozen=True, slots=True)
class NullTokens:
    """Fault: missing values are written as text."""

    column: str
    text: str = "N/A"
    share: float = 0.1
    since: float = 0.0
    kind: Literal["null_tokens"] = "null_tokens"


@dataclass(frozen=True, slots=True)
class UnitChange:
    """Fault: numbers are suddenly in another unit, from `since` on or where a SQL condition holds."""

    column: str
    factor: float
    offset: float = 0.0
    since: float = 0.5
    where: str | None = None
    share: float = 1.0
    kind: Literal["unit_change"] = "unit_change"


@dataclass(frozen=True, slots=True)
class Outliers:
    """Fault: a few impossible values."""

    column: str
    value: float
    rows: int = 1
    since: float = 0.0
    kind: Literal["outliers"] = "outliers"


@dataclass(frozen=True, slots=True)
class MixedTypes:
    """Fault: text among numbers; the column becomes text."""

    column: str
    value: str = "n.b."
    share: float = 0.01
    since: float = 0.0
    kind: Literal["mixed_types"] = "mixed_types"


@dataclass(frozen=True, slots=True)
class EncodingDamage:
    """Fault: text in UTF-8 was read as Latin-1; a text of ASCII alone first gets an accent."""

    column: str
    share: float = 0.02
    since: float = 0.0
    kind: Literal["encoding_damage"] = "encoding_damage"


@dataclass(frozen=True, slots=True)
class Spelling:
    """Fault: categories are written with other capitals and with a space at the end."""

    column: str
    share: float = 0.02
    since: float = 0.0
    kind: Literal["spelling"] = "spelling"


@dataclass(frozen=True, slots=True)
class Orphans:
    """Fault: keys point at nothing."""

    column: str
    value: Any
    share: float = 0.02
    since: float = 0.0
    kind: Literal["orphans"] = "orphans"


@dataclass(frozen=True, slots=True)
class DuplicatedBatch:
    """Fault: a stretch of rows, from `since` on and `share` of the table long, arrives twice."""

    since: float = 0.5
    share: float = 0.02
    kind: Literal["duplicated_batch"] = "duplicated_batch"


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Fault: rows are entered again, with other capitals and a space in their texts, and new values in `keys`."""

    rows: int = 10
    keys: tuple[str, ...] = ()
    since: float = 0.0
    kind: Literal["near_duplicates"] = "near_duplicates"


@dataclass(frozen=True, slots=True)
class LateRows:
    """Fault: rows come after others that are younger by up to `by`; the time they carry stays what it was.

    With `into`, that column says when each row arrived.
    """

    column: str
    by: str = "6h"
    share: float = 0.05
    since: float = 0.0
    into: str | None = None
    kind: Literal["late_rows"] = "late_rows"


@dataclass(frozen=True, slots=True)
class Gap:
    """Fault: a stretch of rows, from `since` on and `share` of the table long, never arrives."""

    since: float = 0.5
    share: float = 0.05
    kind: Literal["gap"] = "gap"


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """Fault: a column is gone, has another name (`to`), or another type (`to`)."""

    column: str
    change: Literal["drop", "rename", "type"]
    to: str | None = None
    kind: Literal["schema_change"] = "schema_change"


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Fault: a number or a time (as ISO text) stands for a missing value."""

    column: str
    value: float | str = -999.0
    share: float = 0.05
    since: float = 0.0
    kind: Literal["sentinels"] = "sentinels"


@dataclass(frozen=True, slots=True)
class SignFlip:
    """Fault: numbers come with the wrong sign."""

    column: str
    share: float = 0.05
    since: float = 0.0
    kind: Literal["sign_flip"] = "sign_flip"


@dataclass(frozen=True, slots=True)
class Rounding:
    """Fault: numbers are rounded to fewer decimals; with `decimals` below 0, to tens, hundreds, …"""

    column: str
    decimals: int = 0
    since: float = 0.5
    share: float = 1.0
    kind: Literal["rounding"] = "rounding"


@dataclass(frozen=True, slots=True)
class Stuck:
    """Fault: a stretch of rows, from `since` on and `share` of the table long, repeats its first value."""

    column: str
    since: float = 0.5
    share: float = 0.1
    kind: Literal["stuck"] = "stuck"


@dataclass(frozen=True, slots=True)
class Swapped:
    """Fault: two columns of one type hold each other's values."""

    columns: tuple[str, str]
    since: float = 0.8
    share: float = 1.0
    kind: Literal["swapped"] = "swapped"


@dataclass(frozen=True, slots=True)
class ZoneShift:
    """Fault: times are written on another clock, later by `by` (``"5h"``) or earlier (``"-5h"``)."""

    column: str
    by: str = "5h"
    since: float = 0.5
    share: float = 1.0
    kind: Literal["zone_shift"] = "zone_shift"


@dataclass(frozen=True, slots=True)
class Leak:
    """Fault: a new column tells the target `column`, but for some noise (in its standard deviations)."""

    column: str
    into: str = "outcome_code"
    noise: float = 0.05
    kind: Literal["leak"] = "leak"


Drift: TypeAlias = Shift | Scale | NewCategory | Prevalence
Fault: TypeAlias = (
    LabelNoise | Nulls | NullTokens | UnitChange | Outliers | MixedTypes | EncodingDamage | Spelling | Orphans
    | DuplicatedBatch | NearDuplicates | LateRows | Gap | SchemaChange
    | Sentinels | SignFlip | Rounding | Stuck | Swapped | ZoneShift | Leak
)  # fmt: skip
Disturbance: TypeAlias = Drift | Fault

_KINDS: dict[str, type] = {
    str(next(item.default for item in fields(kind) if item.name == "kind")): kind for kind in get_args(Disturbance)
}


def disturbance_from_dict(raw: Mapping[str, Any]) -> Disturbance:
    """One disturbance from its mapping, as TOML and JSON have it; an unknown kind or option is an error.

    >>> disturbance_from_dict({"kind": "nulls", "columns": ["miles"], "share": 0.2})
    Nulls(columns=('miles',), share=0.2, since=0.0, kind='nulls')
    """
    kind = _KINDS.get(raw.get("kind", ""))
    if kind is None:
        near = difflib.get_close_matches(str(raw.get("kind")), _KINDS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_KINDS)}."
        raise ConfigError("no such disturbance", value=raw.get("kind"), hint=hint)
    known = [item.name for item in fields(kind)]
    needed = [item.name for item in fields(kind) if item.default is MISSING]
    wrong = sorted(set(raw) - set(known)) or [name for name in needed if name not in raw]
    if wrong:
        words = "has unknown options" if wrong[0] in raw else "needs"
        raise ConfigError(f"the disturbance {raw['kind']!r} {words}", value=wrong, hint=f"Known: {', '.join(known)}.")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
    disturbance: Disturbance = kind(**values)
    return disturbance
