"""From a training set to a fitted model: takes splits and a way to build an estimator, gives a `Model` or a `Study`.

Public names: `train`, `tune` and its search space, `predict`, the baselines, and the encoding that serving shares. They
are loaded when first used, so that `tidemill.training.encoding` needs nothing but NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.training.baselines import baseline_scores, fit_baselines
    from tidemill.training.encoding import encode_columns, fit_encoding
    from tidemill.training.fitting import train
    from tidemill.training.prediction import predict
    from tidemill.training.row_encoding import encode_row, row_encoder
    from tidemill.training.space import choice, conditional, integers, uniform
    from tidemill.training.tuning import Study, Trial, tune

_HOMES = {
    "Study": "tuning",
    "Trial": "tuning",
    "baseline_scores": "baselines",
    "choice": "space",
    "conditional": "space",
    "encode_columns": "encoding",
    "encode_row": "row_encoding",
    "fit_baselines": "baselines",
    "fit_encoding": "encoding",
    "integers": "space",
    "predict": "prediction",
    "row_encoder": "row_encoding",
    "train": "fitting",
    "tune": "tuning",
    "uniform": "space",
}

# No module here bears the name of a verb: importing it would put the module where the function is looked up.

__all__ = [
    "Study",
    "Trial",
    "baseline_scores",
    "choice",
    "conditional",
    "encode_columns",
    "encode_row",
    "fit_baselines",
    "fit_encoding",
    "integers",
    "predict",
    "row_encoder",
    "train",
    "tune",
    "uniform",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
