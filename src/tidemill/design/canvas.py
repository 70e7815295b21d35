"""The canvas: what the model is for, what it predicts, what errors cost, and how much of that is said.

The blocks follow the Machine Learning Canvas (Louis Dorard, ownml.co). Prediction and costs are tables that the
pipeline reads; the other blocks are prose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tidemill.core.errors import ConfigError
from tidemill.core.tasks import Task
from tidemill.design import strict
from tidemill.design.requirements import Requirement

_PROSE = {
    "value_proposition": "Value proposition",
    "decisions": "Decisions",
    "impact_simulation": "Impact simulation",
    "making_predictions": "Making predictions",
    "data_sources": "Data sources",
    "data_collection": "Data collection",
    "features": "Features",
    "building_models": "Building models",
    "monitoring": "Monitoring",
}
#: What `tidemill init` asks in the place of an answer.
QUESTIONS: Mapping[str, str] = {
    "value_proposition": "Who is helped, and how?",
    "decisions": "What is done with a prediction?",
}
_PREDICTION = ("task", "target", "entity", "at", "label_at")
_COSTS = ("false_positive", "false_negative", "true_positive", "true_negative", "referral")
_TASKS: Mapping[str, Task] = {
    "binary": "binary",
    "binary classification": "binary",
    "multiclass": "multiclass",
    "multiclass classification": "multiclass",
    "classification": "multiclass",
    "regression": "regression",
    "multilabel": "multilabel",
    "multilabel classification": "multilabel",
    "quantile": "quantile",
    "quantile regression": "quantile",
    "ranking": "ranking",
    "forecast": "forecasting",
    "forecasting": "forecasting",
    "anomaly": "anomaly",
    "anomaly detection": "anomaly",
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is predicted, about what, when, and when the truth is known; empty text where it is not said."""

    task: str = ""
    target: str = ""
    entity: tuple[str, ...] = ()
    at: str = ""
    label_at: str = ""

    @property
    def kind(self) -> Task | None:
        """The task in the words of `tidemill.core.model`; None where it is not said."""
        return _TASKS.get(self.task.strip().lower())


@dataclass(frozen=True, slots=True)
class Costs:
    """What each kind of decision costs, in one unit of money or time; a gain is negative.

    `referral` is what it costs to have a person decide; None where nobody can.
    """

    false_positive: float
    false_negative: float
    true_positive: float = 0.0
    true_negative: float = 0.0
    referral: float | None = None

    def to_dict(self) -> dict[str, float]:
        """By name, as `train` and `evaluate` take them."""
        return {name: value for name in _COSTS if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Canvas:
    """The design of a project.

    Parameters
    ----------
    prediction
        The prediction task.
    costs
        What errors cost; None where it is not said.
    prose
        The other blocks by key, those that are said.
    protected
        Attributes of people whose groups every evaluation compares.
    unanswered
        The keys of blocks where the question of `tidemill init` still stands; they are in no `prose`.
    """

    prediction: Prediction = Prediction()
    costs: Costs | None = None
    prose: Mapping[str, str] = field(default_factory=dict)
    protected: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the canvas and how far it is: empty, stated in words, or bound to something that is executed."""

    key: str
    title: str
    state: Literal["empty", "stated", "bound"]
    detail: str = ""


def canvas_of(raw: Mapping[str, Any]) -> Canvas:
    """Read the ``[canvas]`` table of a project.

    Raises
    ------
    ConfigError
        For an unknown key (with the nearest known one), an unknown task, or costs that say only one kind of error.

    Examples
    --------
    >>> canvas = canvas_of({"decisions": "Re-plan gates", "costs": {"false_positive": 40, "false_negative": 250}})
    >>> canvas.costs.false_negative
    250.0
    """
    strict.known_keys(raw, (*_PROSE, "prediction", "costs", "protected"), "[canvas]")
    prose = {key: strict.text(raw, key, "[canvas]").strip() for key in _PROSE if key in raw}
    unanswered = tuple(key for key, text in prose.items() if text == QUESTIONS.get(key))
    return Canvas(
        prediction=_prediction(strict.table(raw, "prediction", "[canvas]")),
        costs=_costs(strict.table(raw, "costs", "[canvas]")),
        prose={key: text for key, text in prose.items() if text and key not in unanswered},
        protected=_protected(raw.get("protected", [])),
        unanswered=unanswered,
    )


def completeness(
    canvas: Canvas, requirements: Iterable[Requirement] = (), sources: Iterable[str] = ()
) -> tuple[Block, ...]:
    """How far each block of the canvas is.

    A block is *bound* when the project executes it: data sources are declared, the prediction names task, target and
    moment, errors have costs, requirements are checked at the block's moment.

    >>> blocks = completeness(canvas_of({"decisions": "Re-plan gates"}), sources=["flights"])
    >>> [(block.key, block.state) for block in blocks if block.state != "empty"]
    [('decisions', 'stated'), ('data_sources', 'bound')]
    """
    promises, declared = tuple(requirements), tuple(sources)
    bound = _bindings(canvas, promises, declared)
    blocks = []
    for key, title in {**_PROSE, "prediction": "Prediction task", "costs": "Costs"}.items():
        stated = key in canvas.prose or (key == "prediction" and canvas.prediction != Prediction())
        detail = bound.get(key, "")
        blocks.append(Block(key, title, "bound" if detail else "stated" if stated else "empty", detail))
    return tuple(blocks)


def _bindings(canvas: Canvas, promises: tuple[Requirement, ...], sources: tuple[str, ...]) -> dict[str, str]:
    """For each bound block, what it is bound to."""
    found: dict[str, str] = {}
    wanted = canvas.prediction
    if wanted.kind and wanted.target and wanted.at:
        found["prediction"] = f"{wanted.kind} model of {wanted.target} at {wanted.at}"
    if canvas.costs is not None:
        found["costs"] = "the threshold is chosen by them"
        found["impact_simulation"] = "evaluation reports the cost per 1000 rows"
    if sources:
        found["data_sources"] = ", ".join(sources)
    for key, moments in (
        ("value_proposition", {"evaluation", "test"}),
        ("making_predictions", {"package"}),
        ("monitoring", {"production"}),
    ):
        names = [promise.name for promise in promises if moments & set(promise.checked)]
        if names:
            found[key] = f"requirements {', '.join(names)}"
    return found


def _prediction(raw: Mapping[str, Any]) -> Prediction:
    where = "[canvas] prediction"
    strict.known_keys(raw, _PREDICTION, where)
    entity = raw.get("entity", "")
    names = tuple(entity) if isinstance(entity, list | tuple) else (entity,)
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(f"entity of {where} should be text or a list of text", value=entity)
    found = Prediction(
        task=strict.text(raw, "task", where),
        target=strict.text(raw, "target", where),
        entity=tuple(name for name in names if name),
        at=strict.text(raw, "at", where),
        label_at=strict.text(raw, "label_at", where),
    )
    if found.task and found.kind is None:
        raise ConfigError(f"task of {where} is unknown", value=found.task, hint=f"Known tasks: {', '.join(_TASKS)}.")
    return found


def _protected(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list | tuple) or not all(isinstance(name, str) and name for name in raw):
        raise ConfigError(
            "protected of [canvas] should be a list of columns", value=raw, hint='Write protected = ["sex", "age"].'
        )
    return tuple(dict.fromkeys(raw))


def _costs(raw: Mapping[str, Any]) -> Costs | None:
    where = "[canvas] costs"
    strict.known_keys(raw, _COSTS, where)
    if not raw:
        return None
    values = {key: strict.number(raw, key, where) for key in _COSTS}
    missing = [key for key in _COSTS[:2] if values[key] is None]
    if missing:
        raise ConfigError(f"{where} are incomplete", value=missing, hint="Say what each kind of error costs.")
    fp, fn, tp, tn = (values[key] or 0.0 for key in _COSTS[:4])
    return Costs(fp, fn, tp, tn, values["referral"])
