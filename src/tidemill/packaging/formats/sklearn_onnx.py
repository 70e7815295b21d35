"""scikit-learn estimators as ONNX: through skl2onnx, or an own writer where it has none."""

from __future__ import annotations

from typing import Any

import skl2onnx
from onnx import helper
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import OutlierMixin
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import BaseDecisionTree

from tidemill.core.errors import ModelError
from tidemill.packaging.onnx_forests import forest_to_onnx, histogram_boosting_to_onnx

_FORESTS = (
    BaseDecisionTree,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)


def to_onnx(estimator: Any, features: int) -> bytes:
    """The ONNX form; `ModelError` says why there is none."""
    if isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        return histogram_boosting_to_onnx(estimator)
    if getattr(estimator, "n_outputs_", 1) > 1:
        raise ModelError("an estimator of several labels has no ONNX form here", hint="It is served natively.")
    if isinstance(estimator, _FORESTS):
        return forest_to_onnx(estimator)
    rows = [("rows", FloatTensorType([None, features]))]
    options = {"zipmap": False} if hasattr(estimator, "classes_") else None
    outlier = isinstance(estimator, OutlierMixin)
    opsets = {"": 15, "ai.onnx.ml": 3} if outlier else {"": 15}
    try:
        model = skl2onnx.convert_sklearn(estimator, initial_types=rows, options=options, target_opset=opsets)
    except (RuntimeError, ValueError, NameError, TypeError, NotImplementedError) as error:
        raise ModelError(
            f"skl2onnx cannot write a {type(estimator).__name__}: {error}", hint="It is served by its native engine."
        ) from error
    wanted = model.graph.output[-1]  # after the label come the probabilities
    # scikit-learn's outliers score below 0; a model's answer is higher for what is stranger.
    operator = "Neg" if outlier else "Identity"
    model.graph.node.append(helper.make_node(operator, [wanted.name], ["output"]))
    wanted.name = "output"
    del model.graph.output[:-1]
    model.graph.name = "tidemill"
    return bytes(model.SerializeToString(deterministic=True))
