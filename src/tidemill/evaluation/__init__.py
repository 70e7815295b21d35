"""How good a model is, and whether that is enough: a model, a table and promises come in, plain records go out.

Public names: `evaluate` -> `Evaluation`, `examine` -> `Examination` (``tidemill.test``), `gate` -> `GateResult`. They
are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.evaluation.assessment import evaluate
    from tidemill.evaluation.behaviours import Behaviour
    from tidemill.evaluation.examination import Examination, examine
    from tidemill.evaluation.promises import GateResult, Measurement, Promise, enforce, gate, measurements_of
    from tidemill.evaluation.records import Comparison, Evaluation, Slice

_HOMES = {
    "Behaviour": "behaviours",
    "Comparison": "records",
    "Evaluation": "records",
    "Examination": "examination",
    "GateResult": "promises",
    "Measurement": "promises",
    "Promise": "promises",
    "Slice": "records",
    "enforce": "promises",
    "evaluate": "assessment",
    "examine": "examination",
    "gate": "promises",
    "measurements_of": "promises",
}

# No module here bears the name of a verb: importing it would put the module where the function is looked up.

__all__ = [
    "Behaviour",
    "Comparison",
    "Evaluation",
    "Examination",
    "GateResult",
    "Measurement",
    "Promise",
    "Slice",
    "enforce",
    "evaluate",
    "examine",
    "gate",
    "measurements_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
