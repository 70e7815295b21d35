"""Hyperparameters: a way to build an estimator, a space and a split come in; a `Study` with every trial goes out.

`tune` searches with Optuna; a study that belongs to a run, or has a name, is kept in the store as child runs, and goes
on after a crash. Trials run here or in worker processes.
"""

from tidemill.training.tuning.records import Study, Trial
from tidemill.training.tuning.verb import tune

__all__ = ["Study", "Trial", "tune"]
