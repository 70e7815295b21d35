"""scikit-learn estimators as ONNX: through skl2onnx, or an own writer where it has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import skl2onnx
from onnx import helper, numpy_helper
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import OutlierMixin
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.tree import BaseDecisionTree

from tidemill.core.errors import ModelError
from tidemill.packaging.formats.members_onnx import to_onnx as members_to_onnx
from tidemill.packaging.onnx_forests import forest_to_onnx, histogram_boosting_to_onnx, isolation_to_onnx
from tidemill.training.frameworks.members import Members

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
    if isinstance(estimator, _FORESTS):
        return forest_to_onnx(estimator)
    if isinstance(estimator, IsolationForest):
        return isolation_to_onnx(estimator)
    if isinstance(estimator, MultiOutputClassifier):
        return members_to_onnx(Members(tuple(_label(one) for one in estimator.estimators_)), features)
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
    last = wanted.name
    if isinstance(getattr(estimator, "classes_", None), list):
        last = _presence(model.graph, last)
        wanted.type.tensor_type.ClearField("shape")
    # scikit-learn's outliers score below 0; a model's answer is higher for what is stranger.
    operator = "Neg" if outlier else "Identity"
    model.graph.node.append(helper.make_node(operator, [last], ["output"]))
    wanted.name = "output"
    del model.graph.output[:-1]
    model.graph.name = "tidemill"
    return bytes(model.SerializeToString(deterministic=True))


def _presence(graph: onnx.GraphProto, name: str) -> str:
    """Of probabilities [labels, rows, 2] those that the labels are there, [rows, labels]."""
    graph.initializer.append(numpy_helper.from_array(np.array(1, dtype=np.int64), "there"))
    graph.node.append(helper.make_node("Gather", [name, "there"], ["by_label"], axis=2))
    graph.node.append(helper.make_node("Transpose", ["by_label"], ["by_row"], perm=[1, 0]))
    return "by_row"


def _label(estimator: Any) -> Any:
    """An estimator that tells whether a row has a label; one that saw a single value is that number."""
    return float(estimator.classes_[0]) if len(estimator.classes_) == 1 else estimator
