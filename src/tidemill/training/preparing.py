"""Splits made ready for fitting: the question settled, rows cleaned, encoded and weighted, the target as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import polars as pl

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.core.model import Signature
from tidemill.core.schema import TableSchema
from tidemill.core.tasks import TASKS, Task
from tidemill.data.on_demand import derivations
from tidemill.data.operations import CleaningPlan, Derive, Learned
from tidemill.data.repairs import apply_repairs, learn_repairs, repaired_schema
from tidemill.data.split import TrainingParts
from tidemill.features.lags import LAST
from tidemill.measures.quantiles import checked_levels
from tidemill.training.encoding import Encoding, Values, encode_columns, fit_encoding, matrix_names
from tidemill.training.frames import columns_of, input_schema
from tidemill.training.frameworks import Fitting, Numbers
from tidemill.training.recipes import Recipe, recipe_of
from tidemill.training.suspicions import suspicions
from tidemill.training.targets import class_names, facts_of, infer_task, target_values
from tidemill.training.weighing import ClassWeight, row_weights_of

#: The levels of a quantile model where nobody says them: the median, and bounds that hold four rows of five.
LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Splits made ready for fitting; the test part is not even known.

    Parameters
    ----------
    signature, encoding, cleaning
        As on the model to be, the threshold still open.
    columns
        The training columns before the learned repairs: what requests will look like.
    fitting
        Encoded training and validation rows.
    suspicions
        What looks wrong in the training rows.
    """

    signature: Signature
    encoding: Encoding
    cleaning: tuple[Mapping[str, Any], ...]
    columns: Mapping[str, Values]
    fitting: Fitting
    suspicions: tuple[str, ...] = ()

    @property
    def facts(self) -> Numbers:
        """What metrics must know of the validation rows (see `tidemill.training.targets.facts_of`)."""
        found = self.fitting.validation_facts
        return self.fitting.validation_truth if found is None else found

    @property
    def task(self) -> Task:
        """The kind of answer."""
        return self.signature.task

    @property
    def classes(self) -> tuple[str, ...]:
        """What the columns of an answer stand for."""
        return self.signature.classes

    @property
    def inputs(self) -> TableSchema:
        """The columns that requests will have."""
        return self.signature.inputs


def prepare(
    data: TrainingParts,
    *,
    target: str | None = None,
    task: Task | None = None,
    group: str = "",
    levels: Sequence[float] = (),
    class_weight: ClassWeight | None = None,
    weights: str = "",
    cleaning: Sequence[Learned | Derive] | CleaningPlan = (),
    recipe: Recipe | Mapping[str, Any] | None = None,
    seed: int = 0,
    threads: int = 1,
    early_stopping: int = 30,
    rows: int | None = None,
) -> Prepared:
    """Learn repairs, schema and encoding from the training rows and encode both parts; `rows` limits training rows."""
    require_split(data)
    _require_target(data, target)
    _require_names(group, weights, levels)
    train, validation = _parts(data, query_of(data, task, group), rows, seed)
    plan = recipe_of(recipe)
    signature = _question(data, train, task, group, levels, {weights}, plan)
    kind, classes = signature.task, signature.classes
    _check_variety(truth := target_values(train, signature.target, kind, classes, "training"), signature.target, kind)
    derived, asked = _on_demand(cleaning, train, signature.inputs)
    operations = (*asked, *(plan.operations if plan else ()))
    columns = columns_of(train, signature.inputs.names)
    # It refuses those that do not learn. The mean of a class's code tells nothing, so there is no target for many.
    told = truth if truth.ndim == 1 and kind not in {"multiclass", "anomaly"} else None
    learnt = learn_repairs(apply_repairs(columns, derived), cast("Sequence[Learned]", operations), told)
    repairs, cleaned, uses = (*derived, *learnt.repairs), learnt.columns, plan.uses if plan else None
    encoding = fit_encoding(cleaned, repaired_schema(signature.inputs, repairs), uses=uses)
    fitting = Fitting(
        matrix=encode_columns(cleaned, encoding),
        truth=truth,
        names=matrix_names(encoding),
        task=kind,
        outputs=signature.outputs,
        seed=seed,
        threads=threads,
        early_stopping=early_stopping,
        weights=row_weights_of(train, truth, kind, classes, class_weight, weights),
        groups=_sizes(train, signature.group),
        levels=signature.levels,
        **_held(validation, signature, encoding, repairs, "validation"),
    )
    strange = tuple(suspicions(fitting.matrix, encoding, truth, kind, classes, signature.target))
    return Prepared(signature, encoding, repairs, columns, fitting, strange)


def _on_demand(
    cleaning: Sequence[Learned | Derive] | CleaningPlan, train: pl.DataFrame, inputs: TableSchema
) -> tuple[list[dict[str, Any]], list[Any]]:
    """The features that are computed from each request, and the repairs that come after them."""
    asked = list(cleaning.operations if isinstance(cleaning, CleaningPlan) else cleaning)
    wanted = [one for one in asked if isinstance(one, Derive)]
    after = asked[len(wanted) :]
    late = next((one.into for one in after if isinstance(one, Derive)), None)
    if late is not None:
        hint = "Write every Derive first; the repairs after it see its column as any other."
        raise UsageError("a feature on demand is computed from the request, before any repair", value=late, hint=hint)
    return derivations(wanted, {name: train.schema[name] for name in inputs.names}), after


def _require_names(group: Any, weights: Any, levels: Any) -> None:
    for name, given in (("group", group), ("weights", weights)):
        if given is not None and not isinstance(given, str):
            raise UsageError(f"{name} is the name of one column", value=given, hint=f'Write {name}="COLUMN".')
    if isinstance(levels, str) or not isinstance(levels, Sequence):
        raise UsageError("levels are a list of shares", value=levels, hint="Write levels=(0.1, 0.5, 0.9).")


def require_split(data: object, verb: str = "train") -> None:
    """Raise for what is no split, as the verb that was given it."""
    if not isinstance(data, TrainingParts):
        told = f"{verb} takes a split, so that models are stopped and measured on rows that they do not learn from"
        raise UsageError(told, value=type(data).__name__, hint="Make one with tm.split.")


def _require_target(data: TrainingParts, wanted: str | None) -> None:
    """Raise for a split for another target than the one that is wanted; nothing is wanted where it is None."""
    if wanted is not None and wanted != data.spec.target and data.spec.target in data.train.columns:
        raise UsageError(
            f"the model is to predict {wanted!r}, as the canvas has it, and the split is made for another target",
            value=data.spec.target,
            hint=f"Split with target={wanted!r}, correct the target in [canvas], or give another model its own name=.",
        )


def held_against(prepared: Prepared, frame: pl.DataFrame, part: str) -> Fitting:
    """What was made ready, to be measured on other rows than its validation rows."""
    signature = prepared.signature
    rows = _by_query(frame, signature.group) if signature.group else frame
    return replace(prepared.fitting, **_held(rows, signature, prepared.encoding, prepared.cleaning, part))


def _held(
    frame: pl.DataFrame, signature: Signature, encoding: Encoding, repairs: Sequence[Mapping[str, Any]], part: str
) -> dict[str, Any]:
    """The rows that a fit is measured on, as the fields of a `Fitting`."""
    truth = target_values(frame, signature.target, signature.task, signature.classes, part)
    return {
        "validation": encode_columns(apply_repairs(columns_of(frame, signature.inputs.names), repairs), encoding),
        "validation_truth": truth,
        "validation_groups": _sizes(frame, signature.group),
        "validation_facts": facts_of(frame, truth, signature),
    }


def _parts(data: TrainingParts, query: str, rows: int | None, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both parts, the training rows perhaps fewer; of a ranking the rows of a query are together, and all or none."""
    for part, frame in (("training", data.train), ("validation", data.validation)):
        if not frame.height:
            raise DataError(f"the {part} part has no rows", hint="Move the boundaries of the split.")
    train, validation = data.train, data.validation
    if query:
        train, validation = _by_query(train, query), _by_query(validation, query)
        _require_whole(train, validation, query)
    if rows is None or rows >= train.height:
        return train, validation
    return (_whole_queries(train, query, rows, seed) if query else train.sample(rows, seed=seed)), validation


def _whole_queries(train: pl.DataFrame, query: str, rows: int, seed: int) -> pl.DataFrame:
    """As many queries as have that many rows together, drawn; at least one."""
    sizes = train[query].rle().struct.field("len").to_numpy()
    order = np.random.default_rng(seed).permutation(len(sizes))
    count = int(np.searchsorted(np.cumsum(sizes[order]), rows, side="right"))
    return train.filter(pl.Series(np.isin(train[query].rle_id().to_numpy(), order[: max(count, 1)])))


def _question(
    data: TrainingParts, train: pl.DataFrame, task: Task | None, group: str, levels: Sequence[float],
    apart: set[str], recipe: Recipe | None,
) -> Signature:  # fmt: skip
    """What is asked: inputs, task, target, and what goes with the task."""
    target = data.spec.target
    if task is not None and task not in TASKS:
        raise UsageError("unknown task", value=task, hint=f"Known tasks: {', '.join(TASKS)}.")
    known = target in train.columns
    if not known and task != "anomaly":
        raise DataError(
            f"target {target!r} is not a column of the training part",
            value=train.columns,
            hint="Make the split from a table that has it; only task='anomaly' goes without.",
        )
    kind = task or infer_task(train[target])
    query = query_of(data, kind, group)
    if target in apart:
        raise UsageError("the target cannot be the weight of its own row", value=target, hint="Name another column.")
    features = _features(data, {*apart, query}, recipe)
    chosen = (levels or LEVELS) if kind == "quantile" else ()
    if levels and kind != "quantile":
        raise UsageError(f"levels are for task='quantile', and this is {kind}", value=tuple(levels))
    classes = class_names(train[target], kind, checked_levels(chosen) if chosen else ()) if known else ()
    last = f"{target}{LAST}" if kind == "forecasting" else ""
    if last and last not in features:
        raise SchemaError(
            "a forecast needs the last value that is known when it is made, among the features",
            value=last,
            hint=f"Make it with tm.lagged(table, {target!r}, time=…, horizon=…), and leave it in the features.",
        )
    texts = {name for name, use in recipe.uses.items() if use == "text"} if recipe else set()
    return Signature(input_schema(train, features, texts), kind, target, classes, group=query, last=last)


def _features(data: TrainingParts, apart: set[str], recipe: Recipe | None) -> tuple[str, ...]:
    """The features, of a recipe or of the split, without the columns that weigh or group rows."""
    if recipe is not None:
        if recipe.target != data.spec.target:
            raise UsageError("the recipe is for another target", value=recipe.target, hint="Make it from these splits.")
        data = replace(data, spec=replace(data.spec, features=recipe.features))
    repeated = sorted({name for name in data.spec.features if data.spec.features.count(name) > 1})
    if repeated:
        raise SchemaError("features are named twice", value=repeated, hint="Name each once when making the split.")
    if data.spec.target in data.spec.features:
        raise DataError(f"the target {data.spec.target!r} is among the features", hint="Take it out of the features.")
    features = tuple(name for name in data.spec.features if name not in apart)
    if not features:
        hint = "Name the features when making the split; of a series, tm.lagged makes them."
        raise DataError("there are no features to learn from", hint=hint)
    return features


def query_of(data: TrainingParts, task: Task | None, group: str) -> str:
    """The column of queries: given, or the one entity of the split; empty if this is no ranking.

    Raises
    ------
    UsageError
        When a ranking has none, or another task has one.
    """
    if task != "ranking":
        if group and task is not None:
            raise UsageError(f"group is for task='ranking', and this is {task}", value=group)
        return ""
    if group:
        return group
    if len(data.spec.entity) != 1:
        raise UsageError(
            "a ranking needs the column that names the query of each row",
            value=data.spec.entity,
            hint='Name it: group="query".',
        )
    return data.spec.entity[0]


def _by_query(frame: pl.DataFrame, group: str) -> pl.DataFrame:
    """The rows with those of a query beside each other, otherwise in their order."""
    if group not in frame.columns:
        raise SchemaError(
            "there is no such column of queries", value=group, hint=f"Columns: {', '.join(frame.columns)}."
        )
    if frame[group].null_count():
        raise DataError(f"{frame[group].null_count()} rows have no query in {group!r}", hint="Leave these rows out.")
    return frame.sort(group, maintain_order=True)


def _require_whole(train: pl.DataFrame, validation: pl.DataFrame, group: str) -> None:
    shared = train.select(group).unique().join(validation.select(group).unique(), on=group, how="semi")
    if shared.height:
        raise DataError(
            f"{shared.height} queries in {group!r} have rows in the training and in the validation part",
            value=shared[group].sort().head(5).to_list(),
            hint=f"A ranking is measured on whole queries it has not seen: split by tm.by_group({group!r}).",
        )


def _sizes(frame: pl.DataFrame, group: str) -> tuple[int, ...] | None:
    """How many rows each query has, in the order of the rows."""
    return tuple(frame[group].rle().struct.field("len").to_list()) if group else None


def _check_variety(truth: Numbers, target: str, task: Task) -> None:
    if len(truth) < 2:
        raise DataError(f"there is {len(truth)} training row", hint="A model needs at least two; widen the split.")
    if task == "multilabel":
        if not truth.size or not truth.any():
            raise DataError(f"no training row has a label in {target!r}", hint="Check how the labels are made.")
    elif (TASKS[task].classifies or task == "ranking") and float(truth.min()) == float(truth.max()):
        raise DataError(
            f"all {len(truth)} training rows have the same label in {target!r}",
            value=float(truth[0]),
            hint="Widen the training part until it holds every class, or check how the label is made.",
        )
    elif task == "anomaly" and np.isnan(truth).any() and not np.isnan(truth).all():
        raise DataError(f"some training rows have no label in {target!r}", hint="Label all rows, or none.")
