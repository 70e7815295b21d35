"""What an evaluation found: plain records that carry what a chart needs, so that a report draws and never measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tidemill.core.tasks import Task
from tidemill.data.faces import as_html, as_text
from tidemill.design.requirements import Moment
from tidemill.measures.calibration import CalibrationBin
from tidemill.measures.classification import Confusion
from tidemill.measures.intervals import Estimate
from tidemill.measures.table import METRICS


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
    by, at
        The slice that was compared, such as ``"carrier"`` and ``"UA"``; empty for all rows.
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
    by: str = ""
    at: str = ""

    @property
    def verdict(self) -> str:
        """What people read of it: better, worse, no clear difference, or that there was nothing to tell it by."""
        if self.difference.low is None:
            return "not tested"
        return {True: "better", False: "worse", None: "no clear difference"}[self.better]


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
class WeakSlice:
    """Rows, found by search, on which the model is clearly worse than it should be.

    Parameters
    ----------
    where
        Which rows: by slicing the value, one or two of them.
    rows
        How many there are.
    kind
        ``"biased"``: what happens differs from what it says; ``"overconfident"``: it is more often wrong than it says;
        ``"blind"``: it ranks these rows worse than those with other values; ``"inaccurate"``: its errors are larger.
    expected, observed
        Of the kind: the mean prediction and the mean outcome; the expected and observed squared error; the area under
        the ROC curve with the other values and with this one; the mean absolute error of other rows and of these.
    effect
        How much worse, on one scale for all of a kind: differences of rates in standard deviations of the outcome,
        excess of error as a share of the expected error, difference of areas, growth of the mean absolute error.
    p_value
        How likely this is by chance, adjusted for all slices that were tried.
    metric, inside, outside
        The leading metric on these rows and on all others.
    """

    where: Mapping[str, str]
    rows: int
    kind: Literal["biased", "overconfident", "blind", "inaccurate"]
    expected: float
    observed: float
    effect: float
    p_value: float
    metric: str
    inside: Estimate
    outside: Estimate

    @property
    def name(self) -> str:
        """Which rows, in words."""
        return " and ".join(f"{slicing} {value}" for slicing, value in self.where.items())


@dataclass(frozen=True, slots=True)
class Group:
    """The rows with one value of a declared attribute: how they are treated, and whether probabilities hold there.

    `rates` by name (see `tidemill.evaluation.fairness.RATES`), without value in a group of too few rows.
    """

    value: str
    rows: int
    base_rate: float | None
    rates: Mapping[str, Estimate]
    calibration: tuple[CalibrationBin, ...] = ()


@dataclass(frozen=True, slots=True)
class Fairness:
    """How the groups of a declared attribute compare.

    Parameters
    ----------
    attribute
        The column.
    groups
        In the order of its values.
    gaps
        By name the difference and the ratio of the extreme groups: ``"tpr_difference"``, ``"selection_rate_ratio"``.
    ends
        For each rate the groups with the lowest and the highest.
    small
        Groups of too few rows, which take no part.
    is_input
        Whether the model reads the attribute.
    """

    attribute: str
    groups: tuple[Group, ...]
    gaps: Mapping[str, Estimate]
    ends: Mapping[str, tuple[str, str]]
    small: tuple[str, ...] = ()
    is_input: bool = False

    @property
    def four_fifths(self) -> bool | None:
        """Whether the least selected group is selected at least four fifths as often as the most; None if unknown."""
        ratio = self.gaps.get("selection_rate_ratio")
        return None if ratio is None or ratio.value is None else ratio.value >= 0.8


@dataclass(frozen=True, slots=True)
class Importance:
    """How much the leading metric gets worse when a column is shuffled: mean and range over repeats."""

    column: str
    drop: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one column adds to the answers.

    Parameters
    ----------
    column
        An input of the model; its parts, such as the hour and the weekday of a moment, are added up.
    size
        The mean of the absolute contributions, over the outputs where there are several.
    direction
        The rank correlation of the values with the contributions: 1 if more always adds more; None where the values
        have no order, do not vary, or an answer has several numbers.
    points
        Of some rows the contribution and where the value is among theirs, from 0 to 1; None where it has no order.
    """

    column: str
    size: Estimate
    direction: float | None = None
    points: tuple[tuple[float, float | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Contributions:
    """How answers are made up of what each column adds (Lundberg & Lee, 2017): they sum to it, from a base on.

    Parameters
    ----------
    method
        Who says so: the library of the model, exactly, or ``"shap"``.
    scale
        What they add up to: ``"answer"``, ``"log-odds"``, ``"logarithm"`` of the answer, or the ``"raw score"``.
    base
        Where an answer starts before any column is known, of quantiles that of the middle level; None where an answer
        has several numbers.
    rows
        How many rows were looked at.
    columns
        Those that add most first.
    """

    method: str
    scale: str
    base: float | None
    rows: int
    columns: tuple[Contribution, ...]


@dataclass(frozen=True, slots=True)
class ResidualBin:
    """Rows with similar predicted numbers: how far the truth is above the prediction, as mean and middle 80 %."""

    rows: int
    predicted: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Dependence:
    """The mean answer when an input has each of some values and all else stays (Friedman, 2001)."""

    column: str
    values: tuple[str, ...]
    answers: tuple[float, ...]
    is_number: bool


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


@dataclass(frozen=True, slots=True, repr=False)
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
        Against the baselines, and against another model where one was given; on all rows, and on each slice.
    roc, precision_recall, calibration, histogram, confusion, confusion_matrix
        What charts need; empty where the task has no such thing.
    costs
        Cost per 1000 rows, where costs were given.
    slices
        Parts of the rows.
    weak
        Parts of the rows, found by search, on which the model is clearly worse; the clearest first.
    fairness
        For each declared attribute how its groups compare.
    importance
        By column, most important first.
    contributions
        How much each column adds to the answers, where that was asked for.
    dependence
        How the answer depends on the most important ones, where there is one answer per row.
    residuals
        Of predicted numbers, by rising prediction.
    unlabelled
        Rows that were left out since their label is missing.
    resamples, seed
        Of the intervals.
    read
        Digests of a sample of the rows (see `tidemill.training.rows_read`), by which a later examination knows them.
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
    weak: tuple[WeakSlice, ...] = ()
    fairness: tuple[Fairness, ...] = ()
    importance: tuple[Importance, ...] = ()
    contributions: Contributions | None = None
    dependence: tuple[Dependence, ...] = ()
    residuals: tuple[ResidualBin, ...] = ()
    unlabelled: int = 0
    resamples: int = 0
    seed: int = 0
    read: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        known = (f", {name}={one.value:.4g}" for name, one in in_order(self) if one.value is not None)
        return f"Evaluation({self.model!r}, {self.moment!r}, rows={self.rows}{next(known, '')})"

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


def in_order(found: Evaluation) -> list[tuple[str, Estimate]]:
    """The metrics as the task has them, the leading one first, then all others: a stored record has lost the order."""
    first = [name for name in METRICS[found.task] if name in found.metrics]
    return [(name, found.metrics[name]) for name in dict.fromkeys((*first, *found.metrics))]
