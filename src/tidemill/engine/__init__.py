"""Steps, pipelines and their execution: typed functions come in; recorded runs, cached results and reasons go out.

`step` and `pipeline` declare; `Pipeline.run`, `Pipeline.plan` and a plain call execute or look; `cancel` stops
a run from another process. Inside a step, `current` says which it is. See also `rerun` (one step again, on its recorded
inputs) and `notebook` (the run of what is done outside of pipelines).
"""

from __future__ import annotations

from tidemill.engine.cancel import cancel
from tidemill.engine.context import StepContext, current, record
from tidemill.engine.events import Listener, RunEvent
from tidemill.engine.handle import Handle, MapHandle
from tidemill.engine.lease import LeaseSettings
from tidemill.engine.pipeline import Pipeline, pipeline
from tidemill.engine.plan import Plan, PlannedStep
from tidemill.engine.result import RunResult, StepSummary
from tidemill.engine.run import RunOptions, run_body
from tidemill.engine.step import Step, step

__all__ = [
    "Handle",
    "LeaseSettings",
    "Listener",
    "MapHandle",
    "Pipeline",
    "Plan",
    "PlannedStep",
    "RunEvent",
    "RunOptions",
    "RunResult",
    "Step",
    "StepContext",
    "StepSummary",
    "cancel",
    "current",
    "pipeline",
    "record",
    "run_body",
    "step",
]
