"""Train, validation and test: a table and a method come in, three tables and the record of how they were made go out.

`by_time`, `by_share`, `by_group` and `rolling_origin` make methods, `split` carries one out and looks for leaks.
"""

from tidemill.data.split.dividing import split, split_table
from tidemill.data.split.features import default_features, unfit_features
from tidemill.data.split.methods import (
    ByGroup,
    ByOrigin,
    ByShare,
    ByTime,
    SplitMethod,
    by_group,
    by_share,
    by_time,
    rolling_origin,
)
from tidemill.data.split.record import PARTS, Splits, SplitSpec, TrainingParts, sealed

__all__ = [
    "PARTS",
    "ByGroup",
    "ByOrigin",
    "ByShare",
    "ByTime",
    "SplitMethod",
    "SplitSpec",
    "Splits",
    "TrainingParts",
    "by_group",
    "by_share",
    "by_time",
    "default_features",
    "rolling_origin",
    "sealed",
    "split",
    "split_table",
    "unfit_features",
]
