"""A recipe of features: what becomes of each column of a table and why, to be read, edited and carried out.

`recipe` proposes one from the semantic types of training rows; `train(…, recipe=…)` carries it out by the encoding and
the learned repairs, which training, batches and requests replay alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import polars as pl

from tidemill.core.errors import ConfigError, DataError, SchemaError, UsageError
from tidemill.core.tasks import Task
from tidemill.data.operations import EncodeTarget, FillLearned, Learned
from tidemill.data.profile import ColumnProfile, measure_column
from tidemill.data.semantic_types import Semantic, semantic_types
from tidemill.data.split import TrainingParts
from tidemill.data.types import Tabular, collected, require_columns
from tidemill.training.encoding import MAX_CATEGORIES
from tidemill.training.targets import infer_task

#: What can become of a column. ``"frequency"`` codes a category by its rank, as ``"category"`` does; it says that there
#: are too many for more.
Use = Literal["number", "log", "flag", "category", "frequency", "target mean", "time", "cycle", "text", "leave out"]

#: Categories with more values than this are not told apart one by one.
FEW = 20
#: From this skewness on, the logarithm of a number that is never negative is taken.
SKEWED = 2.0
#: With fewer rows than this, the words of a text teach nothing.
TEXT_ROWS = 100
_NAMED = frozenset({"identifier", "email", "url", "ip address", "phone number"})
_NO_INPUT = frozenset({"nested", "binary", "object", "json", "coordinates", "clock time"})
#: Tasks of one number as the target, whose mean over a category says something.
_MEANS: frozenset[Task] = frozenset({"binary", "regression", "quantile", "ranking", "forecasting"})


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """What becomes of one column.

    Parameters
    ----------
    column
        Its name.
    use
        See `Use`.
    why
        What decided, in one phrase.
    fill
        Whether missing numbers are filled by the median, with a column that says where.
    """

    column: str
    use: Use
    why: str
    fill: bool = False

    def __post_init__(self) -> None:
        if self.use not in get_args(Use):
            raise ConfigError("no such use of a column", value=self.use, hint=f"Known: {', '.join(get_args(Use))}.")
        if self.fill and self.use not in {"number", "log"}:
            raise ConfigError(f"column {self.column!r} is filled, and only numbers are", value=self.use)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What becomes of each column; shown as one line for each.

    Parameters
    ----------
    target
        The column to predict.
    columns
        The plan of each other column, in the order of the table.
    """

    target: str
    columns: tuple[ColumnPlan, ...] = field(default_factory=tuple)

    def __str__(self) -> str:
        width = max((len(plan.column) for plan in self.columns), default=0)
        lines = []
        for plan in self.columns:
            use = f"{plan.use}, filled" if plan.fill else plan.use
            lines.append(f"{plan.column:<{width}}  {use:<14}  {plan.why}")
        return "\n".join(lines)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that are not left out."""
        return tuple(plan.column for plan in self.columns if plan.use != "leave out")

    @property
    def operations(self) -> tuple[Learned, ...]:
        """The learned repairs that it asks for."""
        filled = [FillLearned(plan.column, indicator=True) for plan in self.columns if plan.fill]
        means = [EncodeTarget(plan.column) for plan in self.columns if plan.use == "target mean"]
        return (*filled, *means)

    @property
    def uses(self) -> dict[str, str]:
        """The columns whose encoding is another than that of their type."""
        return {plan.column: plan.use for plan in self.columns if plan.use in {"log", "cycle", "text"}}

    def with_use(self, column: str, use: Use, why: str = "as asked for") -> Recipe:
        """The recipe with another use of a column.

        >>> plan = Recipe("late", (ColumnPlan("miles", "number", "by its type"),))
        >>> print(plan.with_use("miles", "log"))
        miles  log             as asked for
        """
        known = [plan.column for plan in self.columns]
        if column not in known:
            raise SchemaError("the recipe has no such column", value=column, hint=f"Columns: {', '.join(known)}.")
        plans = (ColumnPlan(column, use, why) if plan.column == column else plan for plan in self.columns)
        return replace(self, columns=tuple(plans))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able mapping."""
        plans = [
            {"column": plan.column, "use": plan.use, "why": plan.why, **({"fill": True} if plan.fill else {})}
            for plan in self.columns
        ]
        return {"target": self.target, "columns": plans}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Recipe:
        """Read what `to_dict` wrote, perhaps edited; an unknown use or key is an error."""
        try:
            return cls(raw["target"], tuple(ColumnPlan(**plan) for plan in raw["columns"]))
        except (KeyError, TypeError) as error:
            raise ConfigError(f"this is no recipe: {error}", hint="Edit what to_dict() wrote.") from None


def recipe(table: Tabular | TrainingParts, target: str | None = None, *, task: Task | None = None) -> Recipe:
    """Propose what becomes of each column, by its semantic type.

    Parameters
    ----------
    table
        Training rows; of splits, the training part is read and no other.
    target
        The column to predict; that of the splits if left out.
    task
        The kind of answer; by default what the target's type calls for.

    Returns
    -------
    Recipe
        Identifiers, constants, and what no model takes are left out, with the reason; numbers stay, their logarithm if
        they are skewed, filled and flagged where some are missing; categories get a code each, the mean of the target
        where they are many; moments become parts on a circle; free text becomes hashed words.

    Examples
    --------
    >>> rows = pl.DataFrame({"id": [f"r{n}" for n in range(60)], "miles": [n % 7 + n / 9 for n in range(60)]})
    >>> print(recipe(rows.with_columns(late=pl.col("miles") > 5), "late"))
    id     leave out       identifier: a short text that is different in (nearly) every row
    miles  number          number: by its type
    """
    if isinstance(table, TrainingParts):
        frame, chosen = table.train, target or table.spec.target
        apart = {chosen, *table.spec.entity, *([table.spec.time] if table.spec.time else [])}
    else:
        frame = collected(table)
        if target is None:
            raise ConfigError("a recipe needs the column to predict", hint='Write recipe(table, "late").')
        chosen, apart = target, {target}
    require_columns(frame, [] if task == "anomaly" else [chosen], purpose="the recipe")
    if not frame.height:
        raise DataError("there are no rows to make a recipe from", hint="Give training rows.")
    kind: Task = task or infer_task(frame[chosen])
    rows = frame.drop([name for name in apart if name in frame.columns])
    profiles = [measure_column(column).profile for column in rows]
    found = semantic_types(profiles, rows)
    return Recipe(chosen, tuple(_plan(profile, rows[profile.name], found[profile.name], kind) for profile in profiles))


def recipe_of(given: Recipe | Mapping[str, Any] | None) -> Recipe | None:
    """A recipe, as it is or from its mapping."""
    if given is None or isinstance(given, Recipe):
        return given
    if not isinstance(given, Mapping):
        raise UsageError("this is no recipe", value=given, hint="Pass what tm.recipe() made, or its to_dict().")
    return Recipe.from_dict(given)


def _plan(profile: ColumnProfile, values: pl.Series, semantic: Semantic, task: Task) -> ColumnPlan:
    name, dtype, said = profile.name, values.dtype, f"{semantic.type}: {semantic.evidence}"
    if semantic.type in _NAMED:
        return ColumnPlan(name, "leave out", said)
    if semantic.type in {"constant", "empty"} or profile.distinct <= 1:
        return ColumnPlan(name, "leave out", "it has one value, or none")
    if semantic.type in _NO_INPUT:
        return ColumnPlan(name, "leave out", f"{said}; no model takes it as it is")
    if dtype == pl.Boolean:
        return ColumnPlan(name, "flag", said)
    if dtype.is_temporal():
        known = isinstance(dtype, pl.Datetime) or dtype == pl.Date
        return ColumnPlan(name, "cycle", said) if known else ColumnPlan(name, "number", said)
    if dtype.is_numeric():
        return _number(profile, said)
    return _text(profile, semantic, said, task)


def _number(profile: ColumnProfile, said: str) -> ColumnPlan:
    fill = profile.nulls > 0
    if profile.skewness is not None and profile.skewness > SKEWED and not profile.negatives:
        return ColumnPlan(profile.name, "log", f"{said}; its skewness is {profile.skewness:.1f}", fill)
    return ColumnPlan(profile.name, "number", said, fill)


def _text(profile: ColumnProfile, semantic: Semantic, said: str, task: Task) -> ColumnPlan:
    name = profile.name
    if semantic.type == "text":
        if profile.rows < TEXT_ROWS:
            return ColumnPlan(name, "leave out", f"{said}; {profile.rows} rows are too few to learn words from")
        return ColumnPlan(name, "text", said)
    if semantic.role in {"time", "quantity", "count"}:
        return ColumnPlan(name, "leave out", f"{said}; it is written as text: cast it first")
    if profile.distinct <= FEW:
        return ColumnPlan(name, "category", said)
    if task in _MEANS:
        return ColumnPlan(name, "target mean", f"{said}; too many to tell apart one by one")
    limit = "" if profile.distinct <= MAX_CATEGORIES else f", beyond {MAX_CATEGORIES} like unseen ones"
    return ColumnPlan(name, "frequency", f"{said}; coded by how frequent they are{limit}")
