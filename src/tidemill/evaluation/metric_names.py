"""Whether a requirement names a metric that there is: a slip is said before anything runs, not at the gate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from tidemill.core.errors import ConfigError
from tidemill.core.tasks import Task
from tidemill.design.requirements import Requirement
from tidemill.evaluation.fairness import fairness_names
from tidemill.measures.registry import METRICS

#: What packaging measures.
PACKAGE = ("latency_p50_ms", "latency_p99_ms", "rows_per_s", "size_mb", "parity_max_difference")
#: What evaluation and test measure beside the metrics of the task.
EXAMINED = ("cost_per_1000", "failed_behaviours", "untouched")
#: What other libraries call them.
_ELSEWHERE = {
    "auc": "roc_auc", "auroc": "roc_auc", "pr_auc": "average_precision", "aucpr": "average_precision",
    "ap": "average_precision", "acc": "accuracy", "f1_score": "f1", "logloss": "log_loss", "nll": "log_loss",
    "cross_entropy": "log_loss", "brier_score": "brier", "mse": "rmse", "rmsle": "rmse", "r2_score": "r2",
    "ndcg_score": "ndcg",
}  # fmt: skip
_AT_SHARE = tuple(f"{of}_at_{share}pct" for of in ("recall", "precision", "lift") for share in range(1, 101))


def known_metrics(task: Task | None, protected: Sequence[str] = (), tests: Iterable[str] = ()) -> tuple[str, ...]:
    """All metrics of a project: of its task (of every task, if it is not said), attributes, and own tests."""
    tasks = tuple(METRICS) if task is None else (task,)
    names = [name for kind in tasks for name in METRICS[kind]]
    names += _AT_SHARE if "binary" in tasks else ()
    names += [name for kind in tasks for attribute in protected for name in fairness_names(kind, attribute)]
    return (*dict.fromkeys(names), *EXAMINED, *PACKAGE, *(f"test.{name}" for name in tests))


def check_metric_names(
    requirements: Iterable[Requirement],
    task: Task | None = None,
    protected: Sequence[str] = (),
    tests: Iterable[str] | None = None,
) -> None:
    """Raise for a requirement whose metric looks like a slip of one that there is.

    A name that resembles none is somebody's own metric, which a report of their own brings; where nothing does, the
    gate says that it was not measured. ``fairness.…`` and ``test.…`` are ours, and any unknown one is a slip; so is the
    metric of another task than the canvas says, and what another library calls a metric.

    Parameters
    ----------
    requirements
        Of the project.
    task, protected
        As its canvas says.
    tests
        The names of its own tests; None if they are not known here.

    Raises
    ------
    ConfigError
        With the nearest metric.

    Examples
    --------
    >>> check_metric_names([Requirement("ranking", "", "roc_acu", at_least=0.6)], "binary")
    Traceback (most recent call last):
    tidemill.core.errors.ConfigError: [requirements.ranking] names an unknown metric: 'roc_acu'. Did you mean 'roc_auc'?
    """
    known = known_metrics(task, protected, tests or ())
    for found in requirements:
        own = found.metric.split(".")[0] in ("fairness", "test")
        if found.metric in known or (tests is None and found.metric.startswith("test.")):
            continue
        kin = [name for name in known if not own or name.startswith(found.metric.split(".")[0] + ".")]
        usual = _ELSEWHERE.get(found.metric.lower().replace("-", "_"))
        near = (
            [usual]
            if usual and usual in known
            else get_close_matches(found.metric, kin, n=1, cutoff=0.3 if own else 0.8)
        )
        if others := [kind for kind in METRICS if found.metric in METRICS[kind]]:
            asked, of = f"The canvas asks a {task} question", f"{found.metric} is of {' and '.join(others)}"
            hint = f"{asked}, and {of}; take one of: {', '.join(METRICS[task or others[0]])}."
        elif near:
            hint = f"Did you mean {near[0]!r}?"
        elif found.metric.startswith("fairness."):
            hint = 'Declare the attribute: protected = ["…"] in [canvas].'
        elif own:
            hint = "Mark a function of this name with @tm.model_test."
        else:
            continue
        raise ConfigError(f"[requirements.{found.name}] names an unknown metric", value=found.metric, hint=hint)
