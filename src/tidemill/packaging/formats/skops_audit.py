"""Which parts of a skops file may be rebuilt, and how: read before anything of it is.

skops lets a file choose, for each object, a class and a *loader*: the code that rebuilds it. It reviews the classes
alone, so a class that is allowed can be called with arguments of the file's choosing (``ConstructorFromReduceNode``),
and a pattern such as ``sklearn._loss.*`` allows every function that a module there has imported. Here each class beyond
those that skops trusts itself is named in full with the one loader that writes it, and the loaders which call something
are refused whatever they name.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tidemill.core.errors import UnsafeModelError

_OBJECT, _LOSS = "ObjectNode", "LossNode"
_LOSSES = (
    "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss HalfPoissonLoss HalfSquaredError "
    "HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss"
).split()
_LINKS = "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit".split()
_CYTHON = (
    "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss CyHalfMultinomialLoss CyHalfPoissonLoss "
    "CyHalfSquaredError CyHalfTweedieLoss CyHalfTweedieLossIdentity CyHuberLoss CyPinballLoss"
).split()

#: Class -> the loader that writes it. Each was read: rebuilding it sets attributes and arrays, and calls nothing else.
ALLOWED: Mapping[str, str] = {
    "numpy.dtype": "DTypeNode",  # of an empty array that is read without pickle
    "sklearn.calibration._CalibratedClassifier": _OBJECT,
    "sklearn.calibration._SigmoidCalibration": _OBJECT,
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper": _OBJECT,
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": _OBJECT,  # its indices: sklearn_indices
    "sklearn.metrics._dist_metrics.EuclideanDistance64": _OBJECT,
    "sklearn.neighbors._kd_tree.KDTree": _OBJECT,  # its indices: sklearn_indices
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer": _OBJECT,
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer": _OBJECT,
    "sklearn.tree._tree.Tree": "TreeNode",  # its indices: sklearn_indices
    "sklearn.utils._bunch.Bunch": "DictNode",
    **{f"sklearn._loss.loss.{name}": _OBJECT for name in _LOSSES},
    **{f"sklearn._loss.link.{name}": _OBJECT for name in _LINKS},
    **{f"{module}.{name}": _LOSS for module in ("_loss", "sklearn._loss._loss") for name in _CYTHON},
}
#: Loaders that rebuild containers, arrays and attributes. Those that call, bind or look up something are left out:
#: ConstructorFromReduceNode, MethodNode, OperatorFuncNode, PartialNode.
LOADERS = frozenset(
    "BytearrayNode BytesNode CachedNode DTypeNode DictNode FunctionNode JsonNode ListNode LossNode MaskedArrayNode "
    "NdArrayNode ObjectNode RandomGeneratorNode RandomStateNode SetNode SliceNode SparseMatrixNode TreeNode TupleNode "
    "TypeNode".split()
)
#: Older protocols have loaders of their own; skops has written these since the oldest that is supported here.
PROTOCOLS = (1, 2)


def audit(members: Mapping[str, bytes]) -> None:
    """Refuse what no estimator of scikit-learn is written as.

    Parameters
    ----------
    members
        The files of the archive; ``schema.json`` says how they become an estimator.

    Raises
    ------
    UnsafeModelError
        For an unknown protocol, a loader that is not on the list, an allowed class under another loader than its own,
        or objects that pretend to be each other; the message names it.
    """
    tree = json.loads(members["schema.json"])
    protocol = tree.get("protocol") if isinstance(tree, dict) else None
    if type(protocol) is not int or protocol not in PROTOCOLS:
        raise UnsafeModelError(
            "a skops file has a protocol that is not read here",
            value=protocol,
            hint=f"Protocols are {', '.join(map(str, PROTOCOLS))}; package the model again with a newer skops.",
        )
    seen: dict[Any, tuple[Any, ...]] = {}
    for node in _nodes(tree):
        loader, name = node.get("__loader__"), f"{node.get('__module__')}.{node.get('__class__')}"
        if loader not in LOADERS:
            raise UnsafeModelError(
                "the estimator is rebuilt in a way that is not on the allow-list",
                value=f"{name} by {loader}",
                hint="Use scikit-learn's own estimators without functions of yours in them.",
            )
        if name in ALLOWED and ALLOWED[name] != loader:
            raise UnsafeModelError(
                f"{name} is to be rebuilt by {loader}, and skops never writes it so",
                value=name,
                hint=f"The file was made by hand: only {ALLOWED[name]} is allowed for it.",
            )
        _refuse_pretence(node, seen)
        if loader == "TreeNode":
            _check_tree_arguments(node, members)


def _refuse_pretence(node: Mapping[str, Any], seen: dict[Any, tuple[Any, ...]]) -> None:
    """An object that was met before is taken from memory by its number, whatever is written in the second place."""
    number = node.get("__id__")
    if number is None:
        return
    loader = node["__loader__"]
    value = {"JsonNode": "content", "NdArrayNode": "file"}.get(loader, "")
    what = (loader, node.get("__module__"), node.get("__class__"), str(node.get(value)))
    if seen.setdefault(number, what) != what:
        raise UnsafeModelError(
            "two different objects of a skops file have the same number", value=what, hint="The file was made by hand."
        )


def _check_tree_arguments(node: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
    """A tree is made with as many numbers of classes as it has outputs: scikit-learn reads that many unseen."""
    try:
        features, classes, outputs = node["__reduce__"]["args"]["content"]
        counts = np.load(io.BytesIO(members[classes["file"]]), allow_pickle=False)
        numbers = [json.loads(one["content"]) for one in (features, outputs)]
        sound = [one["__loader__"] for one in (features, classes, outputs)] == ["JsonNode", "NdArrayNode", "JsonNode"]
    except (KeyError, TypeError, ValueError, EOFError) as error:
        raise UnsafeModelError(f"a tree of a skops file is made of something else: {error}") from error
    if not sound or counts.shape != (numbers[1],) or not all(type(one) is int and one > 0 for one in numbers):
        raise UnsafeModelError("a tree of a skops file has other outputs than classes", value=numbers)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object in the tree that says how it is rebuilt, however deep."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "__loader__" in item or "__module__" in item:
                yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
