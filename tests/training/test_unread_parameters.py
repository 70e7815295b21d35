"""If these fail, a misspelt hyperparameter is dropped without a word, and the model is one that nobody asked for."""

from __future__ import annotations

import lightgbm
import polars as pl
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tidemill as tm
from tidemill.core.errors import UsageError
from tidemill.training.frameworks import lightgbm_models

TABLE = pl.DataFrame({"x": range(100), "y": [value > 60 for value in range(100)]})
DATA = tm.split(TABLE, tm.by_share(), "y")


def trained(estimator, **params):
    return tm.train(lambda given: estimator(n_estimators=3, n_jobs=1, **given), params, DATA, baselines=False)


def test_a_misspelt_name_is_refused_with_the_nearest():
    with pytest.raises(UsageError) as raised:
        trained(lightgbm.LGBMClassifier, num_leafs=31)
    expected = "LGBMClassifier does not read the parameter: 'num_leafs'. Did you mean 'num_leaves'?"
    assert str(raised.value) == expected
    with pytest.raises(UsageError, match=r"the parameters: \['ganma', 'lerning_rate'\]"):
        trained(lightgbm.LGBMClassifier, lerning_rate=0.1, ganma=1)


@pytest.mark.parametrize(
    "params", [{"verbose": -1}, {"min_data_in_leaf": 3}, {"bagging_fraction": 0.5}, {"extra_trees": True}, {"eta": 0.1}]
)
def test_every_name_that_lightgbm_knows_is_taken(params):
    assert trained(lightgbm.LGBMClassifier, **params).params == params


def test_lightgbm_tells_its_names():
    assert {"num_leaves", "max_leaf_nodes", "path_smooth", "sigmoid"} <= lightgbm_models._native_names()


def test_without_the_list_all_names_pass(monkeypatch):
    monkeypatch.setattr(lightgbm_models, "_native_names", frozenset)
    assert trained(lightgbm.LGBMClassifier, num_leafs=31)


def test_a_part_of_a_pipeline_is_read_as_well():
    def build(params):
        return make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(n_estimators=3, n_jobs=1, **params))

    with pytest.raises(UsageError, match=r"'max_deph'\. Did you mean 'max_depth'"):
        tm.train(build, {"max_deph": 3}, DATA)


def test_parameters_of_an_extended_class_are_its_own():
    class Halved(lightgbm.LGBMClassifier):
        def __init__(self, halves=1, **others):
            super().__init__(**others)
            self.halves = halves

    assert trained(Halved, halves=2, num_leaves=7)
    with pytest.raises(UsageError, match=r"'halfes'\. Did you mean 'halves'"):
        trained(Halved, halfes=2)


def test_xgboost_is_asked_what_it_reads():
    xgboost = pytest.importorskip("xgboost")
    with pytest.raises(UsageError, match=r"'max_deph'\. Did you mean 'max_depth'\? The booster 'gbtree' reads none"):
        trained(xgboost.XGBClassifier, max_deph=3)
    with pytest.raises(UsageError, match=r"'rate_drop'.*The booster 'gbtree' reads none"):
        trained(xgboost.XGBClassifier, rate_drop=0.1)


@pytest.mark.parametrize(
    "params",
    [
        {"eta": 0.1, "lambda": 2, "min_split_loss": 0.1},
        {"booster": "dart", "rate_drop": 0.1},
        {"booster": "gblinear", "feature_selector": "cyclic"},
        {"objective": "binary:logistic", "max_cached_hist_node": 1000},
    ],
)
def test_every_name_that_xgboost_reads_is_taken(params):
    assert trained(pytest.importorskip("xgboost").XGBClassifier, **params).params == params
