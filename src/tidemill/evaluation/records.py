"""What an evaluation found: plain records that carry what a chart needs, so that a report draws and never measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tidemill.core.tasks import Task
from tidemill.design.requirements import Moment
from tidemill.measures.calibration import CalibrationBin
from tidemill.measures.classification import Confusion
from tidemill.measures.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a curve, few enough to draw: `x` and `y` of equal length, and the threshold at each point."""

    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    threshold: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows per bin of predictions: `edges` has one more entry than `counts`; for two classes `positives` of these."""

    edges: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    positives: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """The model against another one on the same rows.

    Parameters
    ----------
    other, kind
        The other's name, and whether it is a baseline or a model such as the champion.
    metric
        What was compared.
    value, other_value
        Of the model and of the other; None where not defined.
    difference
        `value` minus `other_value`, with a paired bootstrap interval.
    better
        Whether the model is better beyond the interval; None when the interval holds zero, or there is none.
    p_value, test
        How likely such a difference is by chance when there is none, and by which paired test; None and empty where
        there was none.
    where
        The slice that was compared, such as ``"carrier UA"``; empty for all rows.
    """

    other: str
    kind: str
    metric: str
    value: float | None
    other_value: float | None
    difference: Estimate
    better: bool | None
    p_value: float | None = None
    test: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows with one value of a column (or of a part of a time), and how the model does on them.

    `base_rate` is the mean of the target; `order` sorts the slices of one column.
    """

    by: str
    value: str
    rows: int
    base_rate: float | None
    metrics: Mapping[str, Estimate]
    order: int = 0


@dataclass(frozen=True, slots=True)
class Importance:
    """How much the leading metric gets worse when a column is shuffled: mean and range over repeats."""

    column: str
    drop: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CostReport:
    """Cost per 1000 rows: at the model's threshold, at the cheapest one on these rows, acting never and always."""

    costs: Mapping[str, float]
    per_1000: Estimate
    threshold: float
    cheapest_threshold: float
    cheapest_per_1000: float
    never_per_1000: float
    always_per_1000: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model measured on a table.

    Parameters
    ----------
    model, task, target
        Which model, the kind of answer, and what it predicts.
    moment
        The moment of the model's life, for the gate.
    rows
        Labelled rows it was measured on.
    base_rate
        The mean of the target; for many classes None.
    threshold
        Binary: from which score on a row is called positive.
    metrics
        Every metric of the task with its interval; the first is the leading one.
    comparisons
        Against the baselines, and against another model where one was given.
    roc, precision_recall, calibration, histogram, confusion, confusion_matrix
        What charts need; empty where the task has no such thing.
    costs
        Cost per 1000 rows, where costs were given.
    slices
        Parts of the rows.
    importance
        By column, most important first.
    unlabelled
        Rows that were left out since their label is missing.
    resamples, seed
        Of the intervals.
    """

    model: str
    task: Task
    target: str
    moment: Moment
    rows: int
    base_rate: float | None
    threshold: float
    metrics: Mapping[str, Estimate]
    comparisons: tuple[Comparison, ...] = ()
    roc: Curve = Curve()
    precision_recall: Curve = Curve()
    calibration: tuple[CalibrationBin, ...] = ()
    histogram: Histogram = Histogram()
    confusion: Confusion | None = None
    confusion_matrix: tuple[tuple[int, ...], ...] = ()
    classes: tuple[str, ...] = ()
    costs: CostReport | None = None
    slices: tuple[Slice, ...] = ()
    importance: tuple[Importance, ...] = ()
    unlabelled: int = 0
    resamples: int = 0
    seed: int = 0
