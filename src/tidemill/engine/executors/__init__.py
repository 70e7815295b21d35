"""Where steps run: each executor takes a `StepTask` and gives a future `StepResult`.

`InlineExecutor` runs them in this process, `WorkerExecutor` in warm worker processes that are used again, and
`IsolatedExecutor` in a process of their own, forked from one that has only imported.
"""

from tidemill.engine.executors.base import Executor
from tidemill.engine.executors.forking import IsolatedExecutor, WorkerExecutor
from tidemill.engine.executors.inline import InlineExecutor

__all__ = ["Executor", "InlineExecutor", "IsolatedExecutor", "WorkerExecutor"]
