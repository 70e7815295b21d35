"""`examine` (``tidemill.test``): an independent examination of a model on rows that nobody has looked at before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidemill.core.errors import UsageError
from tidemill.core.model import Model
from tidemill.data.faces import as_html, as_text
from tidemill.data.types import Tabular
from tidemill.design.requirements import Moment
from tidemill.engine.step import step
from tidemill.evaluation.assessment import Importances, evaluate
from tidemill.evaluation.behaviours import Behaviour, functionality, independence, invariances, robustness
from tidemill.evaluation.expectations import Expectation, check_expectations
from tidemill.evaluation.records import Evaluation
from tidemill.evaluation.scoring import score
from tidemill.evaluation.stability import Retrain, stability_of
from tidemill.evaluation.user_tests import UserTest, project_tests, run_user_tests
from tidemill.measures.intervals import Estimate
from tidemill.training.defaults import from_project


def _from_project(arguments: dict[str, Any]) -> dict[str, Any]:
    """What the project says: costs and attributes in its canvas, tests in its modules."""
    return project_tests(from_project(arguments))


@dataclass(frozen=True, slots=True, repr=False)
class Examination:
    """A model examined: measured on the test part, and its behaviour checked."""

    evaluation: Evaluation
    behaviours: tuple[Behaviour, ...]
    speed: Mapping[str, float] = field(default_factory=dict)

    @property
    def moment(self) -> Moment:
        """The moment that the gate reads this for."""
        return self.evaluation.moment

    @property
    def metrics(self) -> Mapping[str, Estimate]:
        """All that the gate can read.

        The metrics of the evaluation; ``failed_behaviours``, a count; ``untouched``, 1 if the training has not read
        these rows; ``test.NAME`` for each of the project's own tests, 1 if it passed; what was measured on the package.
        """
        failed = sum(not entry.passed and entry.severity == "error" for entry in self.behaviours)
        told = {"failed_behaviours": Estimate(float(failed), rows=len(self.behaviours))}
        for entry in self.behaviours:
            name = {"independence": entry.name, "user": f"test.{entry.name}"}.get(entry.kind)
            if name is not None:
                told[name] = Estimate(float(entry.passed), rows=entry.rows)
        return {**self.evaluation.metrics, **told, **{name: Estimate(value) for name, value in self.speed.items()}}

    @property
    def untouched(self) -> bool | None:
        """Whether the training has not read the rows that were examined; None for an older record, which cannot say."""
        return next((entry.passed for entry in self.behaviours if entry.kind == "independence"), None)

    @property
    def passed(self) -> bool:
        """Whether every behaviour is as expected; what the numbers must be is for the gate to say."""
        return all(entry.passed or entry.severity == "warning" for entry in self.behaviours)

    def __repr__(self) -> str:
        failed = sum(not entry.passed for entry in self.behaviours)
        return f"Examination({self.evaluation!r}, behaviours={len(self.behaviours)}, failed={failed})"

    def __str__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)


@step(stage="test", resolve=_from_project)
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
    tests: Sequence[UserTest] | None = None,
    expect: Sequence[Expectation] = (),
    stability: Retrain | None = None,
    seeds: int = 3,
    package: Any = None,
    earlier: Sequence[Evaluation] = (),
    bootstrap: int = 200,
    importance: bool | Importances = True,
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
        The project's own checks, see `tm.model_test`. If left out, every marked function of the project's modules that
        are loaded, but not inside another step.
    expect
        What the answers should be: `tm.monotone` and `tm.case`.
    stability
        A function that trains the model again with a seed; `seeds` of them are tried.
    package
        A package of the model, whose latency and size are told.
    earlier
        Evaluations of the same model that may have looked at these rows before.

    Returns
    -------
    Examination
        The evaluation at the moment ``"test"``, and behaviours: independence (rows that the training has not read),
        invariance (row order, neighbours, column order), robustness (missing values, new categories, noise), minimum
        functionality (varies, beats its baselines, ranks no slice worse than guessing), `expect`, `stability`, `tests`.
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
    given = {"model": model, "table": scored.frame, "evaluation": evaluation}
    behaviours = (
        independence(scored, earlier),
        *invariances(scored, seed),
        *robustness(scored, seed),
        *functionality(scored, evaluation.comparisons, evaluation.slices),
        *check_expectations(scored, expect),
        *([stability_of(scored, stability, seeds, bootstrap)] if stability is not None else []),
        *run_user_tests(tests or (), given),
    )
    return Examination(evaluation, behaviours, _speed(package))


def _speed(package: Any) -> dict[str, float]:
    """What was measured on a package; it is of a later stage, known here by what it has."""
    if package is None:
        return {}
    metrics = getattr(package, "metrics", None)
    if not isinstance(metrics, Mapping):
        raise UsageError("this is no package", value=type(package).__name__, hint="Give what tm.package returned.")
    return {name: float(value) for name, value in metrics.items()}
