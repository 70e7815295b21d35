"""From a package to answers, each of them logged: takes rows, gives decisions, in this process or over HTTP.

Public names, loaded when first used so that a prediction needs only NumPy and ONNX Runtime: `Predictor` and
`open_predictor` (`predictor`), `load` (`loading`), `serve` (`running`), `start_server` (`starting`), `predictions`
(`log.querying`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill.serving.loading import load
    from tidemill.serving.log.querying import predictions
    from tidemill.serving.predictor import Predictor, open_predictor
    from tidemill.serving.running import serve
    from tidemill.serving.starting import start_server

_HOMES = {
    "Predictor": "predictor",
    "load": "loading",
    "open_predictor": "predictor",
    "predictions": "log.querying",
    "serve": "running",
    "start_server": "starting",
}

__all__ = ["Predictor", "load", "open_predictor", "predictions", "serve", "start_server"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
