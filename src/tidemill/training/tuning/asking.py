"""A study as Optuna sees it: what to try next, what became of it, and whether a fit is hopeless.

This is the only module that imports Optuna; `tidemill.training.tuning.searching` loads it when it is needed.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from tidemill.core.errors import MissingExtraError, UsageError
from tidemill.training.space import Choice, Integers, Range, Space, drawn, grid, is_conditional
from tidemill.training.tuning.outcomes import Outcome

SAMPLERS = ("tpe", "cmaes", "random", "grid")
PRUNERS = ("median", "halving", "hyperband", "patience")
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@dataclass(frozen=True, slots=True)
class Asked:
    """What to try: a number, the parameters, and Optuna's own trial."""

    number: int
    params: dict[str, Any]
    trial: Any


@dataclass(frozen=True, slots=True)
class Precedents:
    """What a pruner in another process must know: the trials before this one, as plain values."""

    seed: int
    greater_is_better: bool
    pruner: Any
    before: tuple[Outcome | None, ...]


class Asking:
    """One study of Optuna in memory.

    Parameters
    ----------
    space
        Where to look.
    directions
        For each metric, whether greater is better.
    sampler, pruner, seed
        As given to `tune`.
    parallel
        How many trials run at the same time.
    """

    def __init__(
        self,
        space: Space,
        *,
        directions: Sequence[bool],
        sampler: Any = "tpe",
        pruner: Any = None,
        seed: int = 0,
        parallel: int = 1,
    ) -> None:
        if pruner is not None and len(directions) > 1:
            raise UsageError(
                "trials of several metrics cannot be pruned", value=pruner, hint="Leave the pruner out, or one metric."
            )
        self._space = space
        self._directions = tuple(directions)
        self._pruner = pruner
        self._seed = seed
        self._grid = grid(space) if isinstance(sampler, str) and sampler == "grid" else None
        self._sampler = _Planned(_sampler(sampler, space, seed, parallel))
        self._count = 0
        self._told: dict[int, Outcome] = {}
        self._study = optuna.create_study(
            study_name=_name(seed),
            directions=["maximize" if greater else "minimize" for greater in directions],
            sampler=self._sampler,
            pruner=make_pruner(pruner) or optuna.pruners.NopPruner(),
        )

    def plan(self, number: int, params: Mapping[str, Any]) -> None:
        """Give a trial these parameters, as far as they lie in the space, whatever the sampler would say."""
        self._sampler.planned[number] = dict(params)

    @property
    def strayed(self) -> tuple[int, ...]:
        """Trials that were planned and that the sampler would have given other parameters."""
        return tuple(sorted(self._sampler.strayed))

    def ask(self) -> Asked | None:
        """What to try next; None when a grid has no more points."""
        if self._grid is not None:
            point = next(self._grid, None)
            if point is None:
                return None
            self.plan(self._count, point)
        trial = self._study.ask()
        params = drawn(self._space, lambda name, where: _suggest(trial, name, where))
        self._count += 1
        return Asked(trial.number, params, trial)

    def tell(self, asked: Asked, outcome: Outcome) -> None:
        """What became of it: Optuna learns from it."""
        _replay(asked.trial, outcome, judged=self._pruner is not None, single=len(self._directions) == 1)
        values = list(outcome.values.values())[: len(self._directions)] if outcome.state == "complete" else None
        self._told[asked.number] = replace(outcome, exception=None)
        self._study.tell(asked.trial, values, state=_STATES[outcome.state])

    def precedents(self, asked: Asked) -> Precedents | None:
        """What a pruner in another process must know of the trials before this one; None where nothing is pruned."""
        if self._pruner is None:
            return None
        before = tuple(self._told.get(number) for number in range(asked.number))
        return Precedents(self._seed, self._directions[0], self._pruner, before)

    def judge(self, asked: Asked) -> Callable[[float, int], bool] | None:
        """Who says in this process that a fit is hopeless; None where nothing is pruned."""
        return None if self._pruner is None else _judge(asked.trial)

    def importance(self, seed: int) -> dict[str, float]:
        """By parameter, its share of the variance of the first metric; empty when there are too few trials."""
        complete = [trial for trial in self._study.trials if trial.state == TrialState.COMPLETE]
        if len(complete) < 4 or len({trial.values[0] for trial in complete}) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=16, max_depth=16, seed=seed)
        first = (lambda trial: trial.values[0]) if len(self._directions) > 1 else None
        found = optuna.importance.get_param_importances(self._study, evaluator=evaluator, target=first)
        return {name: float(share) for name, share in found.items()}


def judge_by(precedents: Precedents) -> Callable[[float, int], bool]:
    """Who says in another process that a fit is hopeless: Optuna's pruner, shown what the study knew at its start."""
    study = optuna.create_study(
        study_name=_name(precedents.seed),
        direction="maximize" if precedents.greater_is_better else "minimize",
        sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=make_pruner(precedents.pruner),
    )
    for outcome in precedents.before:
        trial = study.ask()
        if outcome is not None:
            _replay(trial, outcome, judged=True, single=True)
            values = list(outcome.values.values())[:1] if outcome.state == "complete" else None
            study.tell(trial, values, state=_STATES[outcome.state])
    return _judge(study.ask())


def make_pruner(given: Any) -> Any:
    """Optuna's pruner of a name; one that is given as it is, and what a function makes; None for none."""
    if given is None:
        return None
    if isinstance(given, str):
        if given not in PRUNERS:
            raise UsageError(
                "there is no such pruner", value=given, hint=f"Use {', '.join(PRUNERS)}, or one of Optuna."
            )
        named: dict[str, Callable[[], Any]] = {
            "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
            "halving": optuna.pruners.SuccessiveHalvingPruner,
            "hyperband": optuna.pruners.HyperbandPruner,
            "patience": lambda: optuna.pruners.PatientPruner(None, patience=3),
        }
        with _experimental():
            return named[given]()
    made = given() if callable(given) else given
    if not isinstance(made, optuna.pruners.BasePruner):
        raise UsageError("this is no pruner", value=made, hint=f"Use {', '.join(PRUNERS)}, or a pruner of Optuna.")
    return made


def _name(seed: int) -> str:
    """Of the study in Optuna: Hyperband draws its brackets by it, so it depends on nothing but the seed."""
    return f"study {seed}"


def _judge(trial: Any) -> Callable[[float, int], bool]:
    def hopeless(value: float, step: int) -> bool:
        trial.report(value, step)
        return bool(trial.should_prune())

    return hopeless


def _replay(trial: Any, outcome: Outcome, *, judged: bool, single: bool) -> None:
    """Report what was reported elsewhere; a pruner that keeps books is asked again, so that they are complete."""
    if not single or not outcome.reported:
        return
    seen = trial.study.trials[trial.number].intermediate_values
    for step, value in outcome.reported:
        if step not in seen:
            trial.report(value, step)
            if judged:
                trial.should_prune()


def _sampler(given: Any, space: Space, seed: int, parallel: int) -> Any:
    if isinstance(given, str):
        if given not in SAMPLERS:
            hint = f"Use {', '.join(SAMPLERS)}, or a sampler of Optuna."
            raise UsageError("there is no such sampler", value=given, hint=hint)
        if given == "cmaes" and importlib.util.find_spec("cmaes") is None:
            raise MissingExtraError("cmaes", "cmaes", purpose="The CMA-ES sampler")
        with _experimental():
            if given == "tpe":
                return optuna.samplers.TPESampler(
                    seed=seed, multivariate=True, group=is_conditional(space), constant_liar=parallel > 1
                )
            if given == "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
            return optuna.samplers.RandomSampler(seed=seed)
    made = given(seed) if callable(given) else given
    if not isinstance(made, optuna.samplers.BaseSampler):
        hint = f"Use {', '.join(SAMPLERS)}, a sampler of Optuna, or a function that makes one from a seed."
        raise UsageError("this is no sampler", value=made, hint=hint)
    return made


class _Planned(optuna.samplers.BaseSampler):
    """Another sampler, overruled for some trials; it draws for these as well, so that its later draws do not change."""

    def __init__(self, inner: Any) -> None:
        self.planned: dict[int, dict[str, Any]] = {}
        self.strayed: set[int] = set()
        self._inner = inner

    def infer_relative_search_space(self, study: Any, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        found: dict[str, BaseDistribution] = self._inner.infer_relative_search_space(study, trial)
        return found

    def sample_relative(self, study: Any, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._inner.sample_relative(study, trial, search_space)
        for name in list(found):
            if name in search_space:
                found[name] = self._settled(trial, name, search_space[name], found[name])
        return found

    def sample_independent(self, study: Any, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        found = self._inner.sample_independent(study, trial, param_name, param_distribution)
        return self._settled(trial, param_name, param_distribution, found)

    def before_trial(self, study: Any, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Any, trial: FrozenTrial, state: Any, values: Any) -> None:
        self._inner.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._inner.reseed_rng()

    def _settled(self, trial: FrozenTrial, name: str, distribution: BaseDistribution, found: Any) -> Any:
        plan = self.planned.get(trial.number, {})
        if name not in plan or not _contains(distribution, plan[name]):
            return found
        if plan[name] != found:
            self.strayed.add(trial.number)
        return plan[name]


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return any(value == option and type(value) is type(option) for option in distribution.choices)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    low, high, step = (getattr(distribution, name) for name in ("low", "high", "step"))
    steps = 0.0 if not step else (value - low) / step
    is_whole = not hasattr(distribution, "to_external_repr") or value == distribution.to_external_repr(value)
    return bool(low <= value <= high and abs(steps - round(steps)) < 1e-8 and is_whole)


def _suggest(trial: Any, name: str, where: Range) -> Any:
    if isinstance(where, Choice):
        return trial.suggest_categorical(name, list(where.options))
    try:
        if isinstance(where, Integers):
            return trial.suggest_int(name, where.low, where.high, log=where.log, step=where.step)
        return trial.suggest_float(name, where.low, where.high, log=where.log, step=where.step)
    except ValueError as error:  # the same name with another kind of range in an earlier trial
        raise UsageError(
            f"parameter {name!r} has ranges of different kinds in the conditional parts of the space",
            value=str(where),
            hint="Give it another name in one of them.",
        ) from error


class _Quiet:
    """Optuna without its log of each trial, as long as any study of this process goes on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = logging.INFO

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = optuna.logging.get_verbosity()
                optuna.logging.set_verbosity(logging.ERROR)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                optuna.logging.set_verbosity(self._before)


#: The context in which studies are carried out.
quiet = _Quiet()


@contextmanager
def _experimental() -> Iterator[None]:
    """Use what Optuna marks as experimental, knowingly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
