"""What a study must show whose trials were ended early by what their library reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tidemill as tm
from tidemill.training.tuning import Study


def check_pruned(study: Study, *, rounds: int) -> None:
    """Good trials have told every round, hopeless ones have told what they did until they were ended."""
    pruned = [trial for trial in study.trials if trial.state == "pruned"]
    whole = [trial for trial in study.trials if trial.state == "complete"]
    assert {trial.state for trial in study.trials} == {"complete", "pruned"}
    assert all([step for step, _ in trial.reported] == list(range(rounds)) for trial in whole)
    assert all([step for step, _ in trial.reported] == list(range(len(trial.reported))) for trial in pruned)
    assert min(len(trial.reported) for trial in pruned) < rounds
    assert pruned[0].error.startswith(f"it did worse than others at step {pruned[0].reported[-1][0]}: ")


def searched(build: Any, params: dict[str, Any], data: tm.Splits, rates: Sequence[float], **options: Any) -> Study:
    """A study with a pruner that tries these learning rates in order, the good ones first."""
    tried = [{"learning_rate": rate} for rate in rates]
    space = {**params, "learning_rate": tm.uniform(min(rates), max(rates), log=True)}
    return tm.tune(build, space, data, trials=len(rates), start=tried, pruner="median", early_stopping=0, **options)
