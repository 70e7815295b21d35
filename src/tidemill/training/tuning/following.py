"""Who watches a search: a bar on a terminal, lines in the log of a step (and so under ``--json``), nobody elsewhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tidemill.engine.context import current
from tidemill.training.tuning.records import Trial

Told = Callable[[Trial], None]


@contextmanager
def following(title: str, trials: int, metric: str, *, greater_is_better: bool) -> Iterator[Told]:
    """Yield whom to tell of each trial.

    Parameters
    ----------
    title, trials
        What the study is called, and how many trials it may make.
    metric, greater_is_better
        What it looks for.
    """
    best = _Best(greater_is_better=greater_is_better)
    if current() is not None:
        yield lambda trial: _write(f"{title}: {best.line(trial, trials, metric)}\n")
        return
    if not sys.stderr.isatty():
        yield best.see
        return
    console = importlib.import_module("rich.console").Console(stderr=True)  # rich is loaded on a terminal only
    progress = importlib.import_module("rich.progress").Progress(console=console, transient=True)
    with progress:
        bar = progress.add_task(title, total=trials)

        def tell(trial: Trial) -> None:
            progress.update(bar, advance=1, description=f"{title}: {best.line(trial, trials, metric)}")

        yield tell


class _Best:
    """The best value so far."""

    def __init__(self, *, greater_is_better: bool) -> None:
        self.value: float | None = None
        self._greater_is_better = greater_is_better

    def see(self, trial: Trial) -> None:
        """Take a trial into account."""
        if trial.value is not None:
            better = self.value is None or (trial.value > self.value) == self._greater_is_better
            self.value = trial.value if better else self.value

    def line(self, trial: Trial, trials: int, metric: str) -> str:
        """What a trial did, and the best so far, on one line.

        >>> best = _Best(greater_is_better=True)
        >>> best.line(Trial(0, {}, 0.8, "complete", 0.1), 20, "roc_auc")
        'trial 1 of 20: roc_auc 0.8, best 0.8'
        >>> best.line(Trial(1, {}, None, "failed", 0.1), 20, "roc_auc")
        'trial 2 of 20: failed, best 0.8'
        """
        self.see(trial)
        did = trial.state if trial.value is None else f"{metric} {trial.value:.6g}"
        so_far = "" if self.value is None else f", best {self.value:.6g}"
        return f"trial {trial.number + 1} of {trials}: {did}{so_far}"


def _write(line: str) -> None:
    """Into the log of the step."""
    sys.stdout.write(line)
