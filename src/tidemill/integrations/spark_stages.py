"""The stages of a fitted pipeline of Spark ML as plain numbers, read through the session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tidemill.core.errors import ModelError


def stages_of(fitted: Any) -> list[dict[str, Any]]:
    """What each stage does to a row, in order.

    Raises
    ------
    ModelError
        For a stage that is not known here; it names those that are.
    """
    stages = list(fitted.stages) if hasattr(fitted, "stages") else [fitted]
    out: list[dict[str, Any]] = []
    for stage in stages:
        name = type(stage).__name__
        if name not in _WALKERS:
            raise ModelError(
                "a stage of Spark ML cannot be written down here",
                value=name,
                hint=f"Known stages: {', '.join(sorted(_WALKERS))}.",
            )
        out.append(_WALKERS[name](stage))
    return out


def _scaler(stage: Any) -> dict[str, Any]:
    spread = np.asarray(stage.std.toArray())
    factor = (
        np.where(spread > 0, 1.0 / np.where(spread > 0, spread, 1.0), 0.0)
        if stage.getWithStd()
        else np.ones_like(spread)
    )
    mean = np.asarray(stage.mean.toArray()) if stage.getWithMean() else np.zeros_like(spread)
    return {"kind": "scale", "mean": mean.tolist(), "factor": factor.tolist()}


def _logistic(stage: Any) -> dict[str, Any]:
    weights = np.asarray(stage.coefficientMatrix.toArray())
    link = "sigmoid" if len(weights) == 1 else "softmax"
    return _linear(weights, np.asarray(stage.interceptVector.toArray()), link)


def _regression(stage: Any) -> dict[str, Any]:
    return _linear(np.asarray(stage.coefficients.toArray())[None], np.array([stage.intercept]), "identity")


def _linear(weights: Any, intercepts: Any, link: str) -> dict[str, Any]:
    return {"kind": "linear", "weights": weights.tolist(), "intercepts": intercepts.tolist(), "link": link}


def _forest(stage: Any) -> dict[str, Any]:
    trees = list(stage.trees) if hasattr(stage, "trees") else [stage]
    classes = int(getattr(stage, "numClasses", 0))
    return _trees(trees, [1.0 / len(trees)] * len(trees), classes, "identity")


def _boosted(stage: Any) -> dict[str, Any]:
    weights = [float(weight) for weight in stage.treeWeights]
    if type(stage).__name__.startswith("GBTClass"):  # its probability is that of twice the margin
        return _trees(list(stage.trees), [2.0 * weight for weight in weights], 0, "sigmoid")
    return _trees(list(stage.trees), weights, 0, "identity")


def _trees(trees: list[Any], weights: list[float], classes: int, link: str) -> dict[str, Any]:
    return {
        "kind": "trees",
        "link": link,
        "trees": [_tree(tree, w, classes) for tree, w in zip(trees, weights, strict=True)],
    }


def _tree(tree: Any, weight: float, classes: int) -> dict[str, Any]:
    """Nodes in lists; a leaf has itself as both children, and what it adds to the answer."""
    out: dict[str, list[Any]] = {"feature": [], "threshold": [], "left": [], "right": [], "value": []}
    pending: list[tuple[Any, str | None, int]] = [(tree._java_obj.rootNode(), None, 0)]  # noqa: SLF001  Spark shows its nodes in Java only
    while pending:
        node, side, parent = pending.pop()
        place = len(out["feature"])
        if side is not None:
            out[side][parent] = place
        if node.subtreeDepth() == 0:
            values = _leaf(node, classes)
            row = (0, 0.0, place, place, [weight * value for value in values])
        else:
            split = node.split()
            if split.getClass().getSimpleName() != "ContinuousSplit":
                raise ModelError(
                    "a split on categories of Spark cannot be written down here", hint="Index no features."
                )
            row = (int(split.featureIndex()), float(split.threshold()), place, place, [])
            pending += [(node.rightChild(), "right", place), (node.leftChild(), "left", place)]
        for name, item in zip(out, row, strict=True):
            out[name].append(item)
    return dict(out)


def _leaf(node: Any, classes: int) -> list[float]:
    if not classes:
        return [float(node.prediction())]
    counts = np.array(list(node.impurityStats().stats()), dtype=np.float64)
    shares = counts / counts.sum()
    return [float(share) for share in (shares[1:2] if classes == 2 else shares)]


_WALKERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "DecisionTreeClassificationModel": _forest,
    "DecisionTreeRegressionModel": _forest,
    "GBTClassificationModel": _boosted,
    "GBTRegressionModel": _boosted,
    "LinearRegressionModel": _regression,
    "LogisticRegressionModel": _logistic,
    "RandomForestClassificationModel": _forest,
    "RandomForestRegressionModel": _forest,
    "StandardScalerModel": _scaler,
}
