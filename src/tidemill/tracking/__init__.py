"""Runs as users see them: metrics, parameters and tags go in; runs come out, searched, compared and traced back.

`log_metric` and its siblings record; `run` and `runs` find; `compare` explains two runs; `trace` walks the lineage.
"""

from tidemill.tracking.comparing import Comparison, Difference, StepDifference, compare
from tidemill.tracking.recording import log_metric, log_metrics, log_params, log_tags
from tidemill.tracking.searching import run, runs
from tidemill.tracking.tracing import TraceNode, render, trace
from tidemill.tracking.views import ArtifactView, RunView

__all__ = [
    "ArtifactView",
    "Comparison",
    "Difference",
    "RunView",
    "StepDifference",
    "TraceNode",
    "compare",
    "log_metric",
    "log_metrics",
    "log_params",
    "log_tags",
    "render",
    "run",
    "runs",
    "trace",
]
