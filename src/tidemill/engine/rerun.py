"""One step again, on the inputs that were recorded for it, in this process and under the debugger if wanted."""

from __future__ import annotations

import pdb  # noqa: T100 — being debugged is what this module is for
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidemill.core.errors import NotFoundError, StepError
from tidemill.core.records import Execution
from tidemill.engine.hints import hints_of
from tidemill.engine.logged import LOGGED
from tidemill.engine.logs import StepLog
from tidemill.engine.recipe import RECIPE, Recipe, arguments_from, read_recipe
from tidemill.engine.references import FunctionRef, resolve
from tidemill.engine.tasks import StepTask, execute
from tidemill.store import Store, executions, lineage, runs


@dataclass(frozen=True, slots=True)
class Rerun:
    """What came of doing a step again.

    Parameters
    ----------
    execution
        The recorded execution.
    value
        What the function returned this time.
    is_same
        Whether its digests equal the recorded ones; None if the recorded execution has no outputs.
    seconds
        How long it took.
    """

    execution: Execution
    value: Any
    is_same: bool | None
    seconds: float


def rerun_step(store: Store, execution_id: str, *, debug: bool = False) -> Rerun:
    """Call a step's function with the arguments of an earlier execution; nothing is recorded.

    Parameters
    ----------
    store
        Where the execution is.
    execution_id
        Its id or the beginning of it. A cached execution stands for the one whose outputs it has.
    debug
        Stop in the debugger at the first line of the function, and again where it raises.

    Raises
    ------
    NotFoundError
        There is no such execution, its inputs were not recorded, or its function is gone.
    StepError
        The function raised; the original exception is its ``__cause__``.
    """
    with store.metadata.reading() as tx:
        execution = executions.get(tx, execution_id)
        if execution.cached_from:
            execution = executions.get(tx, execution.cached_from)
        run = runs.get(tx, execution.run_id)
        recorded = {name: made for name, made in lineage.outputs(tx, execution.id) if name != LOGGED}
        inputs = dict(lineage.inputs(tx, execution.id))
    recipe = read_recipe(_recorded(execution, inputs), store.artifacts)
    function = _function(recipe)
    hints = hints_of(function)
    by_id = {artifact.id: artifact for artifact in inputs.values()}
    calls = _Calls(function, debug=debug)
    log = StepLog()
    log.close()  # a closed log captures nothing: what the function prints is shown
    task = StepTask(
        execution_id=execution.id,
        run_id=run.id,
        project=run.project,
        pipeline=run.pipeline,
        step=execution.step,
        node=execution.node,
        attempt=execution.attempt,
        function=calls,
        arguments=arguments_from(recipe, hints, by_id.__getitem__),
        returns=hints.get("return"),
    )
    result = execute(task, store.artifacts, log)
    if result.error is not None:
        raise StepError(f"step {execution.node!r} failed again: {result.error.message}") from result.error.exception
    made = {name: draft.digest for name, draft in result.outputs}
    is_same = {name: artifact.digest for name, artifact in recorded.items()} == made if recorded else None
    return Rerun(execution, calls.value, is_same, result.seconds)


class _Calls:
    """The function, with a debugger around it, and what it returned."""

    def __init__(self, function: Callable[..., Any], *, debug: bool) -> None:
        self._function = function
        self._debug = debug
        self.value: Any = None

    def __call__(self, **arguments: Any) -> Any:
        if not self._debug:
            self.value = self._function(**arguments)
            return self.value
        debugger = pdb.Pdb()
        try:
            self.value = debugger.runcall(self._function, **arguments)
        except Exception:
            trace = sys.exc_info()[2]
            debugger.reset()
            debugger.interaction(None, trace)  # post mortem, as pdb itself does it
            raise
        return self.value


def _recorded(execution: Execution, inputs: dict[str, Any]) -> Any:
    if RECIPE not in inputs:
        raise NotFoundError(
            f"the inputs of step {execution.node!r} were not recorded, since it is {execution.status}",
            value=execution.id,
            hint="Choose an execution that ended: tidemill show RUN lists them.",
        )
    return inputs[RECIPE]


def _function(recipe: Recipe) -> Callable[..., Any]:
    try:
        return resolve(FunctionRef(recipe.module, recipe.qualname, recipe.path))
    except ImportError as error:
        raise NotFoundError(
            f"module {recipe.module!r} of this step is not there any more", value=recipe.path, hint=str(error)
        ) from error
