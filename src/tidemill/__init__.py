"""Tidemill runs the whole life of a machine-learning model in one package.

>>> import tidemill as tm
>>> @tm.step
... def double(number: int) -> int:
...     return 2 * number
>>> double(21)
42

Public names are loaded when they are first used, so that ``import tidemill`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tidemill.core.errors import ContractError as ContractError
    from tidemill.core.errors import GateError as GateError
    from tidemill.core.errors import LeakError as LeakError
    from tidemill.core.errors import StepError as StepError
    from tidemill.core.errors import TidemillError as TidemillError
    from tidemill.core.model import Model as Model
    from tidemill.core.records import ModelVersion as ModelVersion
    from tidemill.core.schema import Column as Column
    from tidemill.core.schema import TableSchema as TableSchema
    from tidemill.data.availability import leaks as leaks
    from tidemill.data.clean import clean as clean
    from tidemill.data.contract import Check as Check
    from tidemill.data.contract import ColumnRule as ColumnRule
    from tidemill.data.contract import ForeignKey as ForeignKey
    from tidemill.data.contract import TableContract as TableContract
    from tidemill.data.contract import Unique as Unique
    from tidemill.data.contract_versions import contract_versions as contract_versions
    from tidemill.data.contract_versions import load_contract as load_contract
    from tidemill.data.contract_versions import save_contract as save_contract
    from tidemill.data.disturb import disturb as disturb
    from tidemill.data.enrich import asof_join as asof_join
    from tidemill.data.enrich import key_join as key_join
    from tidemill.data.explore import explore as explore
    from tidemill.data.expressions import expression_check as expression_check
    from tidemill.data.fuzzy import fuzzy_join as fuzzy_join
    from tidemill.data.generate import generate as generate
    from tidemill.data.generate import resample as resample
    from tidemill.data.generation.shapes import TableSpec as TableSpec
    from tidemill.data.infer import infer_contract as infer_contract
    from tidemill.data.labels.answers import read_labels as read_labels
    from tidemill.data.labels.mistakes import label_errors as label_errors
    from tidemill.data.labels.queues import label_queue as label_queue
    from tidemill.data.labels.schema import LabelSchema as LabelSchema
    from tidemill.data.labels.weak import LabellingFunction as LabellingFunction
    from tidemill.data.labels.weak import weak_labels as weak_labels
    from tidemill.data.lookup import lookup as lookup
    from tidemill.data.operations import CleaningPlan as CleaningPlan
    from tidemill.data.read import bad_lines as bad_lines
    from tidemill.data.read import read as read
    from tidemill.data.split import Splits as Splits
    from tidemill.data.split import TrainingParts as TrainingParts
    from tidemill.data.split import by_group as by_group
    from tidemill.data.split import by_share as by_share
    from tidemill.data.split import by_time as by_time
    from tidemill.data.split import rolling_origin as rolling_origin
    from tidemill.data.split import split as split
    from tidemill.data.suggest import suggest_cleaning as suggest_cleaning
    from tidemill.data.validate import validate as validate
    from tidemill.engine.pipeline import pipeline as pipeline
    from tidemill.engine.step import step as step
    from tidemill.evaluation.assessment import evaluate as evaluate
    from tidemill.evaluation.examination import Examination as Examination
    from tidemill.evaluation.examination import examine as test  # noqa: F401
    from tidemill.evaluation.expectations import case as case
    from tidemill.evaluation.expectations import monotone as monotone
    from tidemill.evaluation.explaining import explain as explain
    from tidemill.evaluation.promises import gate as gate
    from tidemill.evaluation.records import Evaluation as Evaluation
    from tidemill.evaluation.user_tests import model_test as model_test
    from tidemill.features.aggregations import count as count
    from tidemill.features.aggregations import last as last
    from tidemill.features.aggregations import maximum as maximum
    from tidemill.features.aggregations import mean as mean
    from tidemill.features.aggregations import minimum as minimum
    from tidemill.features.aggregations import share as share
    from tidemill.features.aggregations import total as total
    from tidemill.features.lags import lagged as lagged
    from tidemill.features.point_in_time import point_in_time as point_in_time
    from tidemill.features.training_set import training_set as training_set
    from tidemill.features.view import FeatureView as FeatureView
    from tidemill.monitoring.comparing import drift as drift
    from tidemill.monitoring.comparing import drift_between as drift_between
    from tidemill.packaging.build import package as package
    from tidemill.packaging.package import Package as Package
    from tidemill.packaging.sameness import same_model as same_model
    from tidemill.project import current_project as current_project
    from tidemill.project import load_project as load_project
    from tidemill.project import open_project_store as open_project_store
    from tidemill.project import use_project as use_project
    from tidemill.registry.cards import model_card as model_card
    from tidemill.registry.comparing import compare_versions as compare_versions
    from tidemill.registry.reproduction.verb import reproduce as reproduce
    from tidemill.registry.verbs import promote as promote
    from tidemill.registry.verbs import register as register
    from tidemill.registry.verbs import rollback as rollback
    from tidemill.serving.loading import load as load
    from tidemill.serving.log.joining import label_coverage as label_coverage
    from tidemill.serving.log.querying import label_history as label_history
    from tidemill.serving.log.querying import log_labels as log_labels
    from tidemill.serving.log.querying import predictions as predictions
    from tidemill.serving.running import serve as serve
    from tidemill.serving.scoring.job import score as score
    from tidemill.serving.starting import start_server as start_server
    from tidemill.tracking import compare as compare
    from tidemill.tracking import log_metric as log_metric
    from tidemill.tracking import log_metrics as log_metrics
    from tidemill.tracking import log_params as log_params
    from tidemill.tracking import log_tags as log_tags
    from tidemill.tracking import run as run
    from tidemill.tracking import runs as runs
    from tidemill.tracking import trace as trace
    from tidemill.training.fitting import train as train
    from tidemill.training.prediction import predict as predict
    from tidemill.training.recipes import recipe as recipe
    from tidemill.training.space import choice as choice
    from tidemill.training.space import conditional as conditional
    from tidemill.training.space import integers as integers
    from tidemill.training.space import uniform as uniform
    from tidemill.training.tuning import Study as Study
    from tidemill.training.tuning import tune as tune

#: Where each public name lives; the one table of the public surface.
_HOMES: dict[str, str] = {
    # values
    "Column": "core.schema",
    "TableSchema": "core.schema",
    "Model": "core.model",
    "ModelVersion": "core.records",
    "ContractError": "core.errors",
    "GateError": "core.errors",
    "LeakError": "core.errors",
    "StepError": "core.errors",
    "TidemillError": "core.errors",
    # engine and project
    "step": "engine.step",
    "pipeline": "engine.pipeline",
    "current_project": "project",
    "load_project": "project",
    "open_project_store": "project",
    "use_project": "project",
    # tracking
    "compare": "tracking",
    "log_metric": "tracking",
    "log_metrics": "tracking",
    "log_params": "tracking",
    "log_tags": "tracking",
    "run": "tracking",
    "runs": "tracking",
    "trace": "tracking",
    # data
    "asof_join": "data.enrich",
    "by_group": "data.split",
    "by_share": "data.split",
    "by_time": "data.split",
    "clean": "data.clean",
    "contract_versions": "data.contract_versions",
    "explore": "data.explore",
    "expression_check": "data.expressions",
    "disturb": "data.disturb",
    "generate": "data.generate",
    "fuzzy_join": "data.fuzzy",
    "infer_contract": "data.infer",
    "key_join": "data.enrich",
    "label_errors": "data.labels.mistakes",
    "label_queue": "data.labels.queues",
    "leaks": "data.availability",
    "load_contract": "data.contract_versions",
    "lookup": "data.lookup",
    "read": "data.read",
    "read_labels": "data.labels.answers",
    "rolling_origin": "data.split",
    "save_contract": "data.contract_versions",
    "resample": "data.generate",
    "split": "data.split",
    "suggest_cleaning": "data.suggest",
    "validate": "data.validate",
    "weak_labels": "data.labels.weak",
    "CleaningPlan": "data.operations",
    "LabelSchema": "data.labels.schema",
    "LabellingFunction": "data.labels.weak",
    "Splits": "data.split",
    "TableContract": "data.contract",
    "TrainingParts": "data.split",
    "TableSpec": "data.generation.shapes",
    "Check": "data.contract",
    "ColumnRule": "data.contract",
    "ForeignKey": "data.contract",
    "Unique": "data.contract",
    "bad_lines": "data.read",
    # features
    "FeatureView": "features.view",
    "count": "features.aggregations",
    "last": "features.aggregations",
    "lagged": "features.lags",
    "maximum": "features.aggregations",
    "mean": "features.aggregations",
    "minimum": "features.aggregations",
    "point_in_time": "features.point_in_time",
    "share": "features.aggregations",
    "total": "features.aggregations",
    "training_set": "features.training_set",
    # training and evaluation
    "Study": "training.tuning",
    "choice": "training.space",
    "conditional": "training.space",
    "integers": "training.space",
    "predict": "training.prediction",
    "recipe": "training.recipes",
    "train": "training.fitting",
    "tune": "training.tuning",
    "uniform": "training.space",
    "evaluate": "evaluation.assessment",
    "Evaluation": "evaluation.records",
    "Examination": "evaluation.examination",
    "case": "evaluation.expectations",
    "monotone": "evaluation.expectations",
    "explain": "evaluation.explaining",
    "gate": "evaluation.promises",
    "model_test": "evaluation.user_tests",
    # packaging, registry, serving, monitoring
    "package": "packaging.build",
    "Package": "packaging.package",
    "compare_versions": "registry.comparing",
    "model_card": "registry.cards",
    "same_model": "packaging.sameness",
    "register": "registry.verbs",
    "reproduce": "registry.reproduction.verb",
    "promote": "registry.verbs",
    "rollback": "registry.verbs",
    "load": "serving.loading",
    "label_coverage": "serving.log.joining",
    "label_history": "serving.log.querying",
    "log_labels": "serving.log.querying",
    "predictions": "serving.log.querying",
    "serve": "serving.running",
    "score": "serving.scoring.job",
    "start_server": "serving.starting",
    "drift": "monitoring.comparing",
    "drift_between": "monitoring.comparing",
}

#: Public names that are called otherwise at home.
_ALIASES = {"test": "evaluation.examination:examine"}

__all__ = list(_HOMES) + list(_ALIASES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is not None:
        value = getattr(import_module(f"tidemill.{home}"), name)
    elif name in _ALIASES:
        module, _, other = _ALIASES[name].partition(":")
        value = getattr(import_module(f"tidemill.{module}"), other)
    else:
        raise AttributeError(f"module 'tidemill' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
