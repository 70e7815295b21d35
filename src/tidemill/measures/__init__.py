"""Measures of predictions and of populations: arrays come in, numbers and intervals go out; NumPy only, no I/O.

Public names: the metrics by name (`metric`, `measure`, `estimate`), each measure as a function,
intervals (`bootstrap`, `delong`, `wilson`, `Estimate`), distances, population profiles and `benjamini_hochberg`.
"""

from __future__ import annotations

from tidemill.measures.calibration import CalibrationBin, calibration_curve, ece
from tidemill.measures.classification import (
    Confusion,
    accuracy,
    brier,
    class_accuracy,
    class_log_loss,
    confusion,
    f1,
    log_loss,
    macro_f1,
    precision,
    recall,
)
from tidemill.measures.distances import (
    Significance,
    chi2_survival,
    chi2_two_sample,
    jensen_shannon,
    ks,
    ks_from_counts,
    psi,
    wasserstein,
)
from tidemill.measures.forecasts import mase, smape, wape
from tidemill.measures.intervals import Estimate, bootstrap, delong, delong_difference, wilson
from tidemill.measures.multilabel import (
    hamming_loss,
    macro_average_precision,
    macro_roc_auc,
    micro_f1,
    subset_accuracy,
)
from tidemill.measures.multiplicity import benjamini_hochberg
from tidemill.measures.one_vs_rest import roc_auc_ovr
from tidemill.measures.paired import PairedTest, mcnemar, paired_test
from tidemill.measures.population import count_like, profile_categories, profile_numbers
from tidemill.measures.quantiles import coverage, crossing, mean_pinball
from tidemill.measures.queries import average_precisions, ndcg, precision_at, recall_at, reciprocal_ranks
from tidemill.measures.ranking import (
    average_precision,
    lift_at_share,
    precision_at_share,
    precision_recall_curve,
    recall_at_share,
    roc_auc,
    roc_curve,
)
from tidemill.measures.registry import METRICS, Metric, estimate, measure, metric, metrics_of
from tidemill.measures.regression import mae, pinball, r2, rmse

__all__ = [
    "METRICS",
    "CalibrationBin",
    "Confusion",
    "Estimate",
    "Metric",
    "PairedTest",
    "Significance",
    "accuracy",
    "average_precision",
    "average_precisions",
    "benjamini_hochberg",
    "bootstrap",
    "brier",
    "calibration_curve",
    "chi2_survival",
    "chi2_two_sample",
    "class_accuracy",
    "class_log_loss",
    "confusion",
    "count_like",
    "coverage",
    "crossing",
    "delong",
    "delong_difference",
    "ece",
    "estimate",
    "f1",
    "hamming_loss",
    "jensen_shannon",
    "ks",
    "ks_from_counts",
    "lift_at_share",
    "log_loss",
    "macro_average_precision",
    "macro_f1",
    "macro_roc_auc",
    "mae",
    "mase",
    "mcnemar",
    "mean_pinball",
    "measure",
    "metric",
    "metrics_of",
    "micro_f1",
    "ndcg",
    "paired_test",
    "pinball",
    "precision",
    "precision_at",
    "precision_at_share",
    "precision_recall_curve",
    "profile_categories",
    "profile_numbers",
    "psi",
    "r2",
    "recall",
    "recall_at",
    "recall_at_share",
    "reciprocal_ranks",
    "rmse",
    "roc_auc",
    "roc_auc_ovr",
    "roc_curve",
    "smape",
    "subset_accuracy",
    "wape",
    "wasserstein",
    "wilson",
]
