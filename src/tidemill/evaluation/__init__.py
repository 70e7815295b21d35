"""How good a model is, and whether that is enough: a model, a table and promises come in, plain records go out.

Public names: `evaluate` -> `Evaluation`, `examine` -> `Examination` (``tidemill.test``), `explain` -> a table,
`gate` -> `GateResult`. They are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.evaluation.assessment import evaluate
    from tidemill.evaluation.behaviours import Behaviour
    from tidemill.evaluation.examination import Examination, examine
    from tidemill.evaluation.explaining import explain
    from tidemill.evaluation.measurements import Measurement, measurements_of
    from tidemill.evaluation.promises import GateResult, Promise, enforce, gate
    from tidemill.evaluation.records import Comparison, Contributions, Evaluation, Fairness, Slice, WeakSlice

_HOMES = {
    "Behaviour": "behaviours",
    "Comparison": "records",
    "Contributions": "records",
    "Evaluation": "records",
    "Examination": "examination",
    "Fairness": "records",
    "GateResult": "promises",
    "Measurement": "measurements",
    "Promise": "promises",
    "Slice": "records",
    "WeakSlice": "records",
    "enforce": "promises",
    "evaluate": "assessment",
    "examine": "examination",
    "explain": "explaining",
    "gate": "promises",
    "measurements_of": "measurements",
}

# No module here bears the name of a verb: importing it would put the module where the function is looked up.

__all__ = [
    "Behaviour",
    "Comparison",
    "Contributions",
    "Evaluation",
    "Examination",
    "Fairness",
    "GateResult",
    "Measurement",
    "Promise",
    "Slice",
    "WeakSlice",
    "enforce",
    "evaluate",
    "examine",
    "explain",
    "gate",
    "measurements_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
