"""Plain Optuna: the same trials; ``on_optuna.py memory|sqlite``, the latter with its storage as it comes."""

import sys

import numpy as np
import optuna

from benchmarks.tuning.trial import RANGES, SEED, TRIALS, Above, begin, report, table

optuna.logging.set_verbosity(optuna.logging.ERROR)
rows = table()
matrix, truth = rows["x"].to_numpy()[:, None].astype(np.float32), rows["late"].to_numpy()


def objective(trial: optuna.Trial) -> float:
    params = {name: trial.suggest_float(name, low, high) for name, (low, high) in RANGES.items()}
    estimator = Above(**params).fit(matrix[:100], truth[:100])
    return float((estimator.predict(matrix[100:180]) == truth[100:180]).mean())


def study() -> optuna.Study:
    storage = "sqlite:///study.db" if sys.argv[1] == "sqlite" else None
    sampler = optuna.samplers.TPESampler(seed=SEED, multivariate=True, constant_liar=False)
    return optuna.create_study(storage=storage, sampler=sampler, direction="maximize")


study().optimize(objective, n_trials=12)
began = begin()
study().optimize(objective, n_trials=TRIALS)
report(began)
