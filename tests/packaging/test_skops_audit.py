"""A skops file of a stranger: nothing that it names is called, and no tree in it reads memory that is not its own."""

from __future__ import annotations

import copy
import functools
import json
import operator
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier, TweedieRegressor
from sklearn.multioutput import ClassifierChain
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from tidemill.core.errors import UnsafeModelError
from tidemill.packaging.formats import native_format
from tidemill.packaging.formats.sklearn_skops import FILE
from tidemill.packaging.formats.skops_audit import ALLOWED, LOADERS
from tidemill.packaging.zips import read_zip, write_zip

DRAW = np.random.default_rng(0)
MATRIX = np.abs(DRAW.normal(size=(200, 4))).astype(np.float32)
LABELS = (MATRIX[:, 0] > 0.6).astype(int)
SKLEARN = native_format("sklearn")

HONEST = [
    AdaBoostClassifier(n_estimators=3),
    BaggingRegressor(n_estimators=3, max_features=0.5),
    CalibratedClassifierCV(LogisticRegression(), cv=2),
    ExtraTreesRegressor(3),
    GradientBoostingClassifier(n_estimators=3),
    HistGradientBoostingClassifier(max_iter=3),
    KNeighborsRegressor(),
    MLPRegressor(hidden_layer_sizes=(4,), max_iter=5),
    SGDClassifier(loss="modified_huber"),
    SVC(probability=False),
    TweedieRegressor(power=1.5),
    VotingClassifier([("a", DecisionTreeClassifier()), ("b", LogisticRegression())]),
    make_pipeline(PolynomialFeatures(2), DecisionTreeClassifier()),
    make_pipeline(FunctionTransformer(np.log1p), RandomForestClassifier(3)),
]


def fitted(estimator: Any) -> Any:
    matrix = MATRIX.copy()
    matrix[:, 3] = np.floor(matrix[:, 3] * 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(matrix, LABELS)


def forged(estimator: Any, edit: Callable[[dict[str, Any]], None]) -> dict[str, bytes]:
    """The file of an estimator with its schema changed by hand."""
    members = read_zip(skops.io.dumps(estimator))
    schema = json.loads(members["schema.json"])
    edit(schema)
    return {FILE: write_zip({**members, "schema.json": json.dumps(schema).encode()})}


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "__loader__" in schema:
            yield schema
        for value in schema.values():
            yield from nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from nodes(value)


def json_node(value: Any) -> dict[str, Any]:
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(value),
        "is_json": True,
    }


def tuple_node(*items: dict[str, Any]) -> dict[str, Any]:
    return {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": list(items)}


@pytest.mark.parametrize("estimator", HONEST, ids=lambda estimator: type(estimator).__name__)
def test_what_scikit_learn_makes_comes_back(estimator: Any) -> None:
    made = fitted(estimator)
    again = SKLEARN.load(SKLEARN.save(made))
    assert (again.predict(MATRIX) == made.predict(MATRIX)).all()


def test_a_chain_whose_trees_take_more_than_the_rows_comes_back() -> None:
    made = ClassifierChain(DecisionTreeClassifier()).fit(MATRIX, np.stack([LABELS, 1 - LABELS], axis=1))
    assert (SKLEARN.load(SKLEARN.save(made)).predict(MATRIX) == made.predict(MATRIX)).all()


def _node(name: str, loader: str, **more: Any) -> dict[str, Any]:
    module, _, kind = name.rpartition(".")
    return {"__class__": kind, "__module__": module, "__loader__": loader, **more}


PAYLOADS = {
    "a constructor": _node("subprocess.Popen", "ConstructorFromReduceNode", content=tuple_node(json_node(["true"]))),
    "an allowed class as a constructor": _node(
        "sklearn.utils._bunch.Bunch", "ConstructorFromReduceNode", content=tuple_node(json_node({}))
    ),
    "a function that a module has imported": _node(
        "sklearn._loss.loss.check_scalar", "ConstructorFromReduceNode", content=tuple_node(json_node(1))
    ),
    "a function as a loss": _node(
        "sklearn._loss.loss.check_scalar",
        "LossNode",
        __reduce__={"args": tuple_node(json_node(1))},
        content=json_node({}),
    ),
    "a loss that is a class of losses": _node(
        "sklearn._loss.loss.HalfBinomialLoss", "LossNode", __reduce__={"args": tuple_node()}, content=json_node({})
    ),
    "a function": _node("os.system", "FunctionNode"),
    "a type": _node("subprocess.Popen", "TypeNode"),
    "getattr": _node("builtins.getattr", "TypeNode"),
    "eval": _node("builtins.eval", "FunctionNode"),
    "an object": _node("subprocess.Popen", "ObjectNode", content=json_node({})),
    "a bound method": _node(
        "builtins.str", "MethodNode", content={"func": "format", "obj": json_node("x") | {"__class__": "str"}}
    ),
    "a partial": _node(
        "functools.partial",
        "PartialNode",
        content={
            "func": _node("os.system", "FunctionNode"),
            "args": tuple_node(json_node("true")),
            "kwds": _node("builtins.dict", "DictNode", content={}, key_types=json_node([])),
            "namespace": json_node(None),
        },
    ),
    "a method caller": _node("operator.methodcaller", "OperatorFuncNode", attrs=tuple_node(json_node("system"))),
    "an attribute getter": _node("operator.attrgetter", "OperatorFuncNode", attrs=tuple_node(json_node("__class__"))),
    "any function of operator": _node("operator.call", "OperatorFuncNode", attrs=tuple_node(json_node(1))),
    "a list of another class": _node("subprocess.Popen", "ListNode", content=[json_node("true")]),
    "a dict of another class": _node("subprocess.Popen", "DictNode", content={}, key_types=json_node([])),
    "a named tuple of another class": _node("subprocess.Popen", "TupleNode", content=[json_node("true")]),
    "a set of another class": _node("subprocess.Popen", "SetNode", content=[]),
    "a default factory": _node(
        "collections.defaultdict",
        "DefaultDictNode",
        content={"main": json_node({}), "default_factory": _node("os.system", "FunctionNode")},
    ),
    "a generator that is no generator": _node(
        "numpy.random._generator.Generator",
        "RandomGeneratorNode",
        content={
            "bit_generator": _node(
                "builtins.dict", "DictNode", content={"bit_generator": json_node("seed")}, key_types=json_node([])
            ),
            "seed_seq": json_node({}),
        },
    ),
    "an unknown loader": _node("builtins.dict", "PickleNode", content="gASVAAAA"),
    "no loader": {"__class__": "dict", "__module__": "builtins"},
}


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("depth", [0, 1, 7])
def test_what_would_call_something_is_refused_however_deep_it_is(name: str, depth: int) -> None:
    payload = copy.deepcopy(PAYLOADS[name])
    for _ in range(depth):
        payload = tuple_node(json_node(1), payload)

    def edit(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["coef_"] = payload

    with pytest.raises(UnsafeModelError):
        SKLEARN.load(forged(fitted(LogisticRegression()), edit))


@pytest.mark.parametrize(
    "payload",
    [
        functools.partial(print, "x"),
        operator.methodcaller("system", "true"),
        operator.attrgetter("x"),
        operator.itemgetter(0),
        print,
        "x".format,
        lambda matrix: matrix,
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_an_estimator_with_something_to_call_is_refused_when_it_is_saved(payload: Any) -> None:
    with pytest.raises(UnsafeModelError):
        SKLEARN.save(fitted(make_pipeline(FunctionTransformer(np.log1p), LogisticRegression())).set_params(
            functiontransformer__func=payload))  # fmt: skip


FOREST = fitted(RandomForestClassifier(1, max_depth=2, random_state=0))
CALLED: list[str] = []


class Boom:
    """Notes that it was made."""

    def __new__(cls, *args: object) -> Boom:
        CALLED.append("new")
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        CALLED.append("state")


def boom(*args: object, **options: object) -> None:
    """Note that it was called."""
    CALLED.append("function")


@settings(max_examples=200)
@given(
    place=st.integers(0, 60),
    loader=st.sampled_from(sorted({*LOADERS, "ConstructorFromReduceNode", "PartialNode", "MethodNode"})),
    name=st.sampled_from([f"{__name__}.boom", f"{__name__}.Boom", "sklearn._loss.loss.np", *sorted(ALLOWED)]),
    keeps_its_number=st.booleans(),
)
def test_a_name_in_any_place_under_any_loader_is_not_called(
    place: int, loader: str, name: str, keeps_its_number: bool
) -> None:
    """Most files are refused; of one that is not, nothing but scikit-learn's own was made, and it answers in peace."""
    module, _, kind = name.rpartition(".")

    def edit(schema: dict[str, Any]) -> None:
        found = list(nodes(schema))
        chosen = found[place % len(found)]
        chosen.update(__class__=kind, __module__=module, __loader__=loader)
        if not keeps_its_number:
            chosen.pop("__id__", None)

    CALLED.clear()
    try:
        again = SKLEARN.load(forged(FOREST, edit))
    except UnsafeModelError:
        assert not CALLED
        return
    assert not CALLED
    assert again.predict(MATRIX).shape == (200,)


def test_a_part_of_an_estimator_is_no_estimator() -> None:
    def edit(schema: dict[str, Any]) -> None:
        schema.update(__class__="HalfLogitLink", __module__="sklearn._loss.link", __loader__="ObjectNode")

    with pytest.raises(UnsafeModelError, match="the skops file holds no estimator: 'HalfLogitLink'"):
        SKLEARN.load(forged(FOREST, edit))


@pytest.mark.parametrize("protocol", [0, 3, -1, True, "2", None])
def test_a_protocol_that_is_not_known_is_refused(protocol: Any) -> None:
    with pytest.raises(UnsafeModelError, match="protocol"):
        SKLEARN.load(forged(FOREST, lambda schema: schema.update(protocol=protocol)))


@pytest.mark.parametrize(
    "text", [b"[]", b"7", b"{", b"[" * 200_000, b'{"protocol": 2}', b'{"protocol": 2, "__loader__": []}']
)
def test_a_schema_of_another_shape_is_refused(text: bytes) -> None:
    members = read_zip(skops.io.dumps(FOREST))
    with pytest.raises(UnsafeModelError):
        SKLEARN.load({FILE: write_zip({**members, "schema.json": text})})


def corrupted_tree(field: str, value: int) -> Any:
    made = fitted(DecisionTreeClassifier(max_depth=3, random_state=0))
    state = made.tree_.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][field][0] = value
    made.tree_.__setstate__(state)
    return made


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("left_child", 10**9, "not there"),
        ("right_child", 10**9, "not there"),
        ("left_child", 0, "leads back"),
        ("left_child", -7, "leads back"),
        ("right_child", -1, "one child|leads back"),
        ("feature", 10**6, "feature that is not there"),
        ("feature", -5, "feature that is not there"),
    ],
)
def test_a_tree_that_points_out_of_itself_is_refused(field: str, value: int, message: str) -> None:
    with pytest.raises(UnsafeModelError, match=message):
        SKLEARN.load(SKLEARN.save(corrupted_tree(field, value)))


@pytest.mark.parametrize("count", [0, -3])
def test_a_tree_without_nodes_is_refused(count: int) -> None:
    def edit(schema: dict[str, Any]) -> None:
        tree = next(node for node in nodes(schema) if node["__class__"] == "Tree")
        tree["content"]["content"]["node_count"] = json_node(count)

    with pytest.raises(UnsafeModelError):
        SKLEARN.load(forged(fitted(DecisionTreeClassifier(max_depth=3)), edit))


@pytest.mark.parametrize("place", [0, 2])
def test_a_tree_that_is_made_with_other_arguments_is_refused(place: int) -> None:
    def edit(schema: dict[str, Any]) -> None:
        tree = next(node for node in nodes(schema) if node["__class__"] == "Tree")
        tree["__reduce__"]["args"]["content"][place] = json_node(-1 if place == 0 else 10**6)

    with pytest.raises(UnsafeModelError, match="other outputs than classes"):
        SKLEARN.load(forged(fitted(DecisionTreeClassifier(max_depth=3)), edit))


def test_an_object_that_pretends_to_be_another_one_is_refused() -> None:
    def edit(schema: dict[str, Any]) -> None:
        first, second = [node for node in nodes(schema) if node["__loader__"] == "NdArrayNode"][:2]
        second["__id__"] = first["__id__"]

    with pytest.raises(UnsafeModelError, match="have the same number"):
        SKLEARN.load(forged(fitted(LogisticRegression()), edit))


def test_a_tree_for_wider_rows_in_a_narrow_forest_is_refused() -> None:
    wide = RandomForestClassifier(2, random_state=0).fit(np.tile(MATRIX, (1, 50)), LABELS)
    wide.n_features_in_ = 4
    wide.estimators_[0].n_features_in_ = 4
    with pytest.raises(UnsafeModelError, match="rows of 4 features"):
        SKLEARN.load(SKLEARN.save(wide))


@pytest.mark.parametrize("columns", [1.0, 0.5])
def test_a_tree_for_wider_rows_in_an_isolation_forest_is_refused(columns: float) -> None:
    made = IsolationForest(n_estimators=2, max_features=columns, random_state=0).fit(MATRIX)
    wide = IsolationForest(n_estimators=2, random_state=0).fit(np.tile(MATRIX, (1, 50)))
    made.estimators_[1] = wide.estimators_[1]
    with pytest.raises(UnsafeModelError, match="other columns than it is handed"):
        SKLEARN.load(SKLEARN.save(made))
    made.estimators_features_[1] = wide.estimators_features_[1]
    with pytest.raises(UnsafeModelError, match="other columns than it is handed"):
        SKLEARN.load(SKLEARN.save(made))


@pytest.mark.parametrize(
    ("field", "value"), [("left", 10**6), ("right", 0), ("feature_idx", 77), ("bitset_idx", 10**6)]
)
def test_a_histogram_tree_that_points_out_of_itself_is_refused(field: str, value: int) -> None:
    made = fitted(HistGradientBoostingClassifier(max_iter=2, random_state=0))
    predictor = made._predictors[0][0]
    predictor.nodes = predictor.nodes.copy()
    predictor.nodes["is_categorical"][0] = 1
    predictor.nodes[field][0] = value
    with pytest.raises(UnsafeModelError, match="not grown by scikit-learn"):
        SKLEARN.load(SKLEARN.save(made))


def test_neighbours_that_are_not_there_are_refused() -> None:
    made = fitted(KNeighborsRegressor(algorithm="kd_tree"))
    state = list(made._tree.__getstate__())
    order = np.asarray(state[1]).copy()
    order[0] = 10**8
    state[1] = order
    made._tree.__setstate__(tuple(state))
    with pytest.raises(UnsafeModelError, match="rows that are not there"):
        SKLEARN.load(SKLEARN.save(made))


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = write_zip({"schema.json": b"{}", "0.npy": b"\0" * (300 << 20)})
    assert len(bomb) < 1 << 20
    with pytest.raises(UnsafeModelError, match="unpacks to"):
        SKLEARN.load({FILE: bomb})
