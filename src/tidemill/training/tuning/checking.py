"""What can be known to be wrong with a search before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidemill.core.errors import UsageError
from tidemill.training.preparing import require_split
from tidemill.training.space import has_ranges


def check_question(build: Any, space: Any, data: Any, metric: Any, name: Any) -> None:
    """Refuse what is no function, no space, no split, no metric or no name; arguments as of `tune`."""
    if not callable(build) or isinstance(build, type):
        raise UsageError(
            "tune takes a function that makes the estimator, so that each trial gets a new one",
            value=build,
            hint="Write def build(params): return LGBMClassifier(**params), and pass build.",
        )
    if not isinstance(space, Mapping):
        raise UsageError("a search space is a dict", value=space, hint='Write {"rate": uniform(0.01, 0.3)}.')
    if not has_ranges(space):
        raise UsageError("the search space has no ranges", value=dict(space), hint="Use uniform, integers or choice.")
    require_split(data, "tune")
    names = [metric] if isinstance(metric, str | None) else metric
    if not isinstance(names, list | tuple) or not all(isinstance(one, str | None) for one in names):
        raise UsageError("a metric is a name, or a list of names", value=metric, hint='Write metric="roc_auc".')
    if name is not None and (not isinstance(name, str) or not name.strip() or "#" in name):
        raise UsageError("the name of a study is text without #", value=name, hint="NAME#2 is the second of a name.")


def check_budget(trials: Any, timeout: Any, rows: Any, parallel: Any, folds: Any, repeats: Any) -> None:
    """Refuse budgets with which nothing can be tried; arguments as of `tune`."""
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise UsageError("tuning needs at least one trial", value=trials, hint="Use 20.")
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and timeout > 0):
        raise UsageError("tuning needs some seconds", value=timeout, hint="Leave timeout out for as long as it takes.")
    if rows is not None and (isinstance(rows, bool) or not isinstance(rows, int) or rows < 2):
        raise UsageError("trials are fitted on two rows or more", value=rows, hint="Leave rows out for all of them.")
    if isinstance(parallel, bool) or not isinstance(parallel, int) or parallel < 1:
        raise UsageError("at least one trial runs at a time", value=parallel, hint="Use parallel=4 on four cores.")
    if repeats != 1 and folds is None:
        raise UsageError("only folds can be drawn again", value=repeats, hint="Say how many, as in folds=5.")
