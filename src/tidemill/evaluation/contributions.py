"""What each input adds to an answer: exactly by the model's own library where it can tell, by SHAP for any other."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidemill.core.errors import UsageError
from tidemill.core.model import Model
from tidemill.core.tasks import middle_level
from tidemill.data.findings.stretches import ranks
from tidemill.evaluation.records import Contribution, Contributions
from tidemill.measures.intervals import bootstrap
from tidemill.measures.metric import mean_of
from tidemill.training.estimators import scores_of
from tidemill.training.frameworks import Matrix, Numbers, framework_for, framework_name
from tidemill.training.prediction import predict_encoded

#: The module that explains what no library does by itself.
_ANY_MODEL = "tidemill.integrations.shap"

#: Rows that an evaluation looks at, and how many answers it asks of a model that is explained by asking it.
MAX_ROWS, MAX_ASKED = 2000, 200_000
#: Rows of the background, and in how many orders inputs become known; the first of an evaluation, then of `explain`.
BACKGROUND, PASSES = (25, 100), (3, 10)
#: Rows of which an evaluation keeps the contributions, and for how many inputs.
_POINTS, _DRAWN = 120, 10


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """What each input of each row adds to its answer.

    Parameters
    ----------
    inputs
        The names of the inputs that the estimator reads.
    values
        Shape (rows, outputs, inputs).
    base
        Where an answer starts, shape (outputs,); with the values of a row it sums to the answer on the scale.
    scale, method
        See `tidemill.evaluation.records.Contributions`.
    """

    inputs: tuple[str, ...]
    values: Numbers
    base: Numbers
    scale: str
    method: str

    @property
    def scores(self) -> Numbers:
        """What they add up to, shape (rows, outputs)."""
        return np.asarray(self.values.sum(axis=2) + self.base)


def attribution_of(
    model: Model, matrix: Matrix, background: Matrix | None = None, *, passes: int = PASSES[1], seed: int = 0
) -> Attribution:
    """Explain encoded rows.

    Parameters
    ----------
    model, matrix
        The model, and rows as its estimator takes them.
    background
        Rows to compare with, by SHAP, whatever the library; None to ask the library.
    passes, seed
        Of SHAP: in how many orders inputs become known, there and back.

    Raises
    ------
    UsageError
        When the library cannot tell, and there is no background.
    MissingExtraError
        When SHAP is needed, and is not installed.
    """
    columns = [str(entry["column"]) for entry in model.encoding]
    inputs = tuple(dict.fromkeys(columns))
    owner = np.asarray([inputs.index(column) for column in columns], dtype=np.intp)
    if background is None:
        told = getattr(framework_for(model.estimator), "contributions", None)
        found = None if told is None else told(model.estimator, matrix)
        if found is None:
            members = getattr(model.estimator, "members", ())
            name = next((type(one).__name__ for one in members if not isinstance(one, float)), None)
            raise UsageError(
                f"the library of {name or type(model.estimator).__name__} does not tell what each input adds",
                hint="Pass background=: rows to compare with, such as a hundred of the training rows.",
            )
        values = np.zeros((*found.shape[:2], len(inputs)))
        for column, place in enumerate(owner):
            values[:, :, place] += found[:, :, column]
        base = found[0, :, -1]
        return Attribution(
            inputs, values, base, _scale(model, matrix, found.sum(axis=2)), framework_name(model.estimator)
        )
    if not len(background):
        raise UsageError("background has no rows", hint="Give rows to compare with, such as those of the training.")
    explainer = importlib.import_module(_ANY_MODEL)
    values, base = explainer.contributions(_answers(model), matrix, background, owner, passes, seed)
    return Attribution(inputs, values, base, "answer", "shap")


def tells(model: Model) -> bool:
    """Whether the model's own library tells contributions."""
    told = getattr(framework_for(model.estimator), "contributions", None)
    return told is not None and told(model.estimator, np.zeros((1, len(model.encoding)), dtype=np.float32)) is not None


def _answers(model: Model) -> Callable[[Matrix], Numbers]:
    def ask(matrix: Matrix) -> Numbers:
        found = predict_encoded(model, np.ascontiguousarray(matrix, dtype=np.float32))
        return found.reshape(len(found), -1)

    return ask


def _scale(model: Model, matrix: Matrix, sums: Numbers) -> str:
    """What the sums are, found by comparing them with the estimator's answers."""
    signature = model.signature
    answers = scores_of(model.estimator, matrix, signature.task, signature.outputs).reshape(len(matrix), -1)
    if signature.task == "quantile":
        sums = np.sort(sums, axis=1)  # as the answers are
    with np.errstate(over="ignore"):
        risen = np.exp(sums - sums.max(axis=1, keepdims=True))
        links = {
            "answer": sums,
            "log-odds": 1 / (1 + np.exp(-sums)),
            "log-odds of the classes": risen / risen.sum(axis=1, keepdims=True),
            "logarithm": np.exp(sums),
        }
    near = (name for name, linked in links.items() if linked.shape == answers.shape and _close(linked, answers))
    name = next(near, "raw score").partition(" of ")[0]
    return f"{name}, before calibration" if model.calibration else name


def _close(left: Numbers, right: Numbers) -> bool:
    return bool(np.allclose(left, right, rtol=1e-3, atol=1e-4))


def contributions_of(model: Model, matrix: Matrix, *, resamples: int, seed: int) -> Contributions:
    """How much each input adds to the answers, on a sample of rows."""
    generator = np.random.default_rng(seed)
    inputs = len({entry["column"] for entry in model.encoding})
    native = tells(model)
    cost = PASSES[0] * (2 * inputs + 1) * BACKGROUND[0]
    most = MAX_ROWS if native else int(np.clip(MAX_ASKED // cost, 20, 200))
    background = None if native else sampled(matrix, BACKGROUND[0], generator)
    rows = sampled(matrix, most, generator)
    found = attribution_of(model, rows, background, passes=PASSES[0], seed=seed)
    values, bases = found.values, found.base
    if model.signature.task == "quantile":
        middle = middle_level(model.signature.classes)
        values, bases = values[:, middle : middle + 1], bases[middle : middle + 1]
    sizes = np.abs(values).mean(axis=1)
    measures = {name: mean_of(sizes[:, place]) for place, name in enumerate(found.inputs)}
    estimates = bootstrap(measures, len(rows), resamples=resamples, seed=seed)
    order = np.argsort(-sizes.mean(axis=0), kind="stable")
    columns = []
    for rank, place in enumerate(order.tolist()):
        name, single = found.inputs[place], values.shape[1] == 1
        told, known = values[:, 0, place], _ordered(model, name, rows)
        points = _points(told[:_POINTS], known[:_POINTS]) if single and rank < _DRAWN else ()
        columns.append(Contribution(name, estimates[name], _direction(known, told) if single else None, points))
    base = float(bases[0]) if len(bases) == 1 else None
    return Contributions(found.method, found.scale, base, len(rows), tuple(columns))


def sampled(matrix: Matrix, rows: int, generator: np.random.Generator) -> Matrix:
    """Some rows in a random order; all of them if there are no more."""
    return matrix[generator.permutation(len(matrix))[:rows]]


def _ordered(model: Model, column: str, matrix: Matrix) -> Numbers:
    """The values of an input where they have an order, else NaN."""
    entries = [(place, entry) for place, entry in enumerate(model.encoding) if entry["column"] == column]
    if len(entries) > 1 or entries[0][1]["kind"] in {"category", "text"}:
        return np.full(len(matrix), np.nan)
    return matrix[:, entries[0][0]].astype(np.float64)


def _direction(values: Numbers, told: Numbers) -> float | None:
    known = ~np.isnan(values)
    if known.sum() < 2 or np.ptp(values[known]) == 0 or np.ptp(told[known]) == 0:
        return None
    return round(float(np.corrcoef(ranks(values[known]), ranks(told[known]))[0, 1]), 6)


def _points(told: Numbers, values: Numbers) -> tuple[tuple[float, float | None], ...]:
    known = ~np.isnan(values)
    shares: NDArray[np.float64] = np.full(len(values), np.nan)
    if known.any():
        order = ranks(values[known])
        spread = order.max() - order.min()
        shares[known] = (order - order.min()) / spread if spread else 0.5
    pairs = zip(told.tolist(), shares.tolist(), strict=True)
    return tuple((float(f"{one:.4g}"), None if np.isnan(share) else round(share, 3)) for one, share in pairs)
