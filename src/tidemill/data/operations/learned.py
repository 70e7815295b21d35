"""The repairs that learn from rows, as records: fitted on training rows only. See `tidemill.data.repairs`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class FillLearned:
    """Replace missing values by a statistic of the training rows. Learned: given to ``train``, not to ``clean``.

    Parameters
    ----------
    column
        The column.
    statistic
        ``"median"`` or ``"mean"`` of numbers, ``"most_frequent"`` of anything.
    indicator
        Whether to add a column ``COLUMN__missing`` that is 1 where the value was missing.
    """

    column: str
    statistic: Literal["median", "mean", "most_frequent"] = "median"
    indicator: bool = False
    kind: Literal["fill_learned"] = "fill_learned"


@dataclass(frozen=True, slots=True)
class MergeRare:
    """Turn categories rarer than a share of the training rows, and unseen ones, into `other`. Learned."""

    column: str
    min_share: float = 0.01
    other: str = "other"
    kind: Literal["merge_rare"] = "merge_rare"


@dataclass(frozen=True, slots=True)
class ClipLearned:
    """Limit numbers to quantiles of the training rows. Learned."""

    column: str
    lower: float = 0.001
    upper: float = 0.999
    kind: Literal["clip_learned"] = "clip_learned"


@dataclass(frozen=True, slots=True)
class Winsorise:
    """Limit numbers to quantiles of the training rows: what lies beyond becomes the quantile itself. Learned.

    The same as `ClipLearned`, under the name and with the bounds that statistics has for it.
    """

    column: str
    lower: float = 0.05
    upper: float = 0.95
    kind: Literal["winsorise"] = "winsorise"


@dataclass(frozen=True, slots=True)
class FillByGroup:
    """Replace missing values by the statistic of their group in the training rows. Learned.

    Groups are the rows with equal values in `by`; a group that was not seen, or has no value, gets the statistic of
    all rows.
    """

    column: str
    by: tuple[str, ...]
    statistic: Literal["median", "mean", "most_frequent"] = "median"
    indicator: bool = False
    kind: Literal["fill_by_group"] = "fill_by_group"


@dataclass(frozen=True, slots=True)
class ScaleLearned:
    """Bring numbers to a common scale. Learned.

    ``"standard"``: less the mean, by the standard deviation; ``"robust"``: less the median, by the width of the middle
    half; ``"minmax"``: from 0 to 1 on the training rows.
    """

    column: str
    method: Literal["standard", "robust", "minmax"] = "standard"
    kind: Literal["scale_learned"] = "scale_learned"


@dataclass(frozen=True, slots=True)
class BinLearned:
    """The number of the bin that a number is in; bins hold equally many training rows. Learned."""

    column: str
    bins: int = 10
    kind: Literal["bin_learned"] = "bin_learned"


@dataclass(frozen=True, slots=True)
class FillModelled:
    """Replace missing values by what a linear model of other columns says of the row. Learned.

    Numbers get a ridge regression, kept within the range of the training rows; text gets the category with the highest
    score. What is missing in `inputs` counts as their mean (numbers) or as no category (text).

    Parameters
    ----------
    column
        The column.
    inputs
        The columns to tell it from: numbers, and text of few categories.
    ridge
        The penalty on the weights, per training row.
    indicator
        Whether to add a column ``COLUMN__missing`` that is 1 where the value was missing.
    """

    column: str
    inputs: tuple[str, ...]
    ridge: float = 1e-3
    indicator: bool = False
    kind: Literal["fill_modelled"] = "fill_modelled"


@dataclass(frozen=True, slots=True)
class EncodeOneHot:
    """A column ``COLUMN__is__VALUE`` (1 or 0) for each of the most frequent categories, instead of the column. Learned.

    A missing or unseen category is 0 in all of them.
    """

    column: str
    most: int = 20
    kind: Literal["encode_one_hot"] = "encode_one_hot"


@dataclass(frozen=True, slots=True)
class EncodeOrdinal:
    """The place of a category in an order, from 0; without `order`, by frequency. Learned.

    A category that is not in the order is -1; a missing one stays missing.
    """

    column: str
    order: tuple[str, ...] = ()
    kind: Literal["encode_ordinal"] = "encode_ordinal"


@dataclass(frozen=True, slots=True)
class EncodeTarget:
    """The mean of the target over a category's training rows, drawn towards that of all rows. Learned.

    The mean of n rows counts n to `smoothing`; a missing or unseen category is the mean of all rows. Training rows get
    the value that the rows of the other `folds` teach, so that no row is told its own label.
    """

    column: str
    smoothing: float = 20.0
    folds: int = 5
    kind: Literal["encode_target"] = "encode_target"


Learned: TypeAlias = (
    FillLearned | MergeRare | ClipLearned | Winsorise | FillByGroup | ScaleLearned | BinLearned
    | FillModelled | EncodeOneHot | EncodeOrdinal | EncodeTarget
)  # fmt: skip

LEARNED: tuple[type[Learned], ...] = (
    FillLearned, MergeRare, ClipLearned, Winsorise, FillByGroup, ScaleLearned, BinLearned,
    FillModelled, EncodeOneHot, EncodeOrdinal, EncodeTarget,
)  # fmt: skip
