"""`examine` (``tidemill.test``): an independent examination of a model on rows that nobody has looked at before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidemill.core.model import Model
from tidemill.data.types import Tabular
from tidemill.design.requirements import Moment
from tidemill.engine.step import step
from tidemill.evaluation.assessment import evaluate
from tidemill.evaluation.behaviours import (
    Behaviour,
    UserTest,
    functionality,
    invariances,
    robustness,
    user_tests,
)
from tidemill.evaluation.records import Evaluation
from tidemill.evaluation.scoring import score
from tidemill.measures.intervals import Estimate
from tidemill.training.defaults import from_project


@dataclass(frozen=True, slots=True)
class Examination:
    """A model examined: measured on the test part, and its behaviour checked."""

    evaluation: Evaluation
    behaviours: tuple[Behaviour, ...]

    @property
    def moment(self) -> Moment:
        """The moment that the gate reads this for."""
        return self.evaluation.moment

    @property
    def metrics(self) -> Mapping[str, Estimate]:
        """The metrics of the evaluation, and ``failed_behaviours``, a count."""
        failed = sum(not behaviour.passed for behaviour in self.behaviours)
        return {**self.evaluation.metrics, "failed_behaviours": Estimate(float(failed), rows=len(self.behaviours))}

    @property
    def passed(self) -> bool:
        """Whether every behaviour is as expected; what the numbers must be is for the gate to say."""
        return all(behaviour.passed for behaviour in self.behaviours)


@step(stage="test", resolve=from_project)
def examine(
    model: Model,
    table: Tabular,
    *,
    slices: Sequence[str] = (),
    metrics: Sequence[str] = (),
    against: Model | None = None,
    costs: Mapping[str, float] | None = None,
    fairness: Sequence[str] | None = None,
    discover: bool = True,
    tests: Sequence[UserTest] = (),
    bootstrap: int = 200,
    importance: bool = True,
    seed: int = 0,
) -> Examination:
    """Examine a model on an untouched part of the data.

    Parameters
    ----------
    model
        A trained model.
    table
        The test part: rows that no training, tuning, threshold or early stopping has read.
    slices, metrics, against, costs, fairness, discover, bootstrap, importance, seed
        As for `evaluate`.
    tests
        The project's own checks: functions ``test(model, table)`` that raise AssertionError or return False.

    Returns
    -------
    Examination
        The evaluation at the moment ``"test"``, and behaviours: invariance (row order, neighbours, column order),
        robustness (missing values, new categories, noise), minimum functionality (varies, beats its baselines, ranks
        no slice worse than guessing), and `tests`.
    """
    evaluation = evaluate.function(
        model,
        table,
        moment="test",
        against=against,
        slices=slices,
        metrics=metrics,
        costs=costs,
        fairness=fairness,
        discover=discover,
        bootstrap=bootstrap,
        importance=importance,
        seed=seed,
    )
    scored = score(model, table)
    behaviours = (
        *invariances(scored, seed),
        *robustness(scored, seed),
        *functionality(scored, evaluation.comparisons, evaluation.slices),
        *user_tests(model, scored.frame, tuple(tests)),
    )
    return Examination(evaluation, behaviours)
