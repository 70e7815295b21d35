"""LightGBM ends the process, or reads any memory, where its text was changed: a user would lose the server."""

from __future__ import annotations

import re
import subprocess
import sys

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import UnsafeModelError
from tidemill.packaging.formats.lightgbm_audit import audit
from tidemill.packaging.formats.lightgbm_text import FILE, load, predict, save

DRAW = np.random.default_rng(0)
MATRIX = DRAW.normal(size=(300, 4)).astype(np.float32)
MATRIX[:, 3] = DRAW.integers(0, 6, 300)
LABELS = (MATRIX[:, 0] + 3 * np.isin(MATRIX[:, 3], [2, 4]) > 0.5).astype(int)
COMMON = {"n_estimators": 3, "num_leaves": 6, "verbose": -1, "num_threads": 1}
CATEGORIES = {"cat_smooth": 1, "min_data_per_group": 1, "min_child_samples": 2}


def text_of(categories: bool = True, classes: int = 2, **params: object) -> bytes:
    labels = LABELS if classes == 2 else LABELS + (MATRIX[:, 1] > 0)
    told = {"categorical_feature": [3]} if categories else {}
    return save(lightgbm.LGBMClassifier(**COMMON, **params).fit(MATRIX, labels, **told))[FILE]


SETS = text_of(**CATEGORIES)
LINEAR = text_of(categories=False, linear_tree=True)
STUMP = text_of(min_child_samples=1000)


def resized(text: bytes) -> bytes:
    """With sizes of the trees that agree again: the work of somebody who knows the format."""
    trees = re.findall(rb"Tree=.*?\n\n\n", text, flags=re.DOTALL)
    return re.sub(rb"tree_sizes=.*", b"tree_sizes=" + b" ".join(b"%d" % len(tree) for tree in trees), text)


@pytest.mark.parametrize(
    "model",
    [
        lightgbm.LGBMClassifier(**COMMON, **CATEGORIES),
        lightgbm.LGBMClassifier(**COMMON, linear_tree=True),
        lightgbm.LGBMClassifier(**COMMON, linear_tree=True, min_child_samples=1000),
        lightgbm.LGBMClassifier(**COMMON, min_child_samples=1000),
        lightgbm.LGBMClassifier(**COMMON, boosting_type="rf", bagging_freq=1, bagging_fraction=0.5),
        lightgbm.LGBMClassifier(**COMMON, boosting_type="dart"),
        lightgbm.LGBMRegressor(**COMMON, objective="quantile", alpha=0.9),
        lightgbm.LGBMRegressor(**COMMON, objective="poisson", zero_as_missing=True),
    ],
)
def test_what_lightgbm_writes_is_read_and_predicts_the_same(model: lightgbm.LGBMModel) -> None:
    sets = {} if model.get_params().get("linear_tree") else {"categorical_feature": [3]}
    model.fit(MATRIX, LABELS, **sets)
    files = save(model)
    again = load(files)
    assert predict(again, MATRIX, "binary").tolist() == predict(model, MATRIX, "binary").tolist()


def test_a_model_of_several_classes_is_read_and_predicts_the_same() -> None:
    assert predict(load({FILE: text_of(classes=3, **CATEGORIES)}), MATRIX, "multiclass").shape == (300, 3)


@pytest.mark.parametrize(
    ("text", "line", "changed", "why"),
    [
        (SETS, rb"left_child=\d+", b"left_child=0", "leads back"),
        (SETS, rb"left_child=\S+", b"left_child=100000", "not there"),
        (SETS, rb"right_child=\S+", b"right_child=-100000", "not there"),
        (SETS, rb"split_feature=\S+", b"split_feature=4", "a feature that is not there"),
        (SETS, rb"split_feature=\S+", b"split_feature=-1", "a feature that is not there"),
        (SETS, rb"num_leaves=\d+", b"num_leaves=0", "0 leaves"),
        (SETS, rb"num_leaves=\d+", b"num_leaves=1000000000", "1000000000 leaves"),
        (SETS, rb"leaf_value=\S+ ", b"leaf_value=", "leaf_value"),
        (SETS, rb"threshold=\S+", b"threshold=1e400x", "threshold"),
        (SETS, rb"threshold=\S+", b"threshold=1.2.3", "threshold"),
        (SETS, rb"cat_boundaries=0 \d+", b"cat_boundaries=0 1000000", "sets of categories"),
        (SETS, rb"cat_boundaries=.*\n", b"", "sets of categories"),
        (SETS, rb"cat_threshold=\S+", b"cat_threshold=-1", "set of categories"),
        (SETS, rb"decision_type=\d+", b"decision_type=64", "decides"),
        (SETS, rb"num_cat=\d+", b"num_cat=0\nnum_cat=9", "twice"),
        (LINEAR, rb"num_features=\d+", b"num_features=-1", "factors"),
        (LINEAR, rb"leaf_features=[^\n]*\d[^\n]*", b"leaf_features=99999999", "factors"),
        (LINEAR, rb"leaf_const=\S+ ", b"leaf_const=", "leaf_const"),
        (SETS, rb"num_tree_per_iteration=1", b"num_tree_per_iteration=0", "each round"),
        (SETS, rb"num_tree_per_iteration=1", b"num_tree_per_iteration=3", "each round"),
        (SETS, rb"num_class=1", b"num_class=3", "classes"),
        (text_of(classes=3), rb"num_class:3", b"num_class:3000", "classes"),
        (SETS, rb"version=v4", b"version=v4\nmax_feature_idx=1\rnum_class=1", "end a line"),
        (SETS, rb"max_feature_idx=3\n", b"", "max_feature_idx"),
        (SETS, rb"objective=binary", b"objective=unheard", "unheard"),
        (SETS, rb"\[num_threads: \d+\]", b"[num_threads", "parameters"),
    ],
)
def test_a_text_that_leads_out_of_itself_is_refused(text: bytes, line: bytes, changed: bytes, why: str) -> None:
    forged = resized(re.sub(line, changed, text, count=1))
    assert forged != text
    with pytest.raises(UnsafeModelError, match=why):
        load({FILE: forged})


@given(st.sampled_from([SETS, LINEAR, STUMP]), st.data())
def test_a_text_that_was_cut_is_refused(text: bytes, data: st.DataObject) -> None:
    trees, parameters = text.index(b"end of trees") + 12, text.index(b"parameters:") + 12  # between them is no number
    cut = st.integers(0, trees) | st.integers(parameters, text.index(b"end of parameters") + 15)
    with pytest.raises(UnsafeModelError, match="ackage the model again"):
        audit(text[: data.draw(cut)])


def test_a_text_is_audited_though_the_one_that_it_was_made_from_was_read_before() -> None:
    load({FILE: SETS})
    load({FILE: SETS})
    with pytest.raises(UnsafeModelError, match="the trees do not end"):
        load({FILE: SETS.replace(b"end of trees", b"end of threes")})


def test_sizes_that_point_into_the_middle_of_a_tree_are_refused() -> None:
    with pytest.raises(UnsafeModelError, match="tree 0 is not where"):
        audit(re.sub(rb"tree_sizes=.*", b"tree_sizes=1", SETS))


def test_lightgbm_itself_ends_the_process_for_what_is_refused_here() -> None:
    program = (
        f"import lightgbm; lightgbm.Booster(model_str={re.sub(b'left_child=[0-9]+', b'left_child', SETS).decode()!r})"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode < 0
