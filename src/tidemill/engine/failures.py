"""The error of a failed step: which step, which inputs, the last lines of its log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tidemill.core.errors import (
    CancelledError,
    RunError,
    StepError,
    StepTimeoutError,
    TidemillError,
    WorkerDiedError,
)
from tidemill.core.records import Artifact
from tidemill.engine.tasks import FailureKind, StepFailure

_KINDS: dict[FailureKind, type[RunError]] = {
    "user": StepError,
    "tidemill": StepError,
    "timeout": StepTimeoutError,
    "died": WorkerDiedError,
    "cancelled": CancelledError,
}
_LAST_LINES = 10


def failure_of(
    node: str, failure: StepFailure, uses: Iterable[tuple[str, Artifact]], log: str, run_id: str
) -> RunError:
    """The exception that a failed step raises where its value is needed.

    Its message says which step, what was raised and what to do, and then from which input artifacts, and how its log
    ended; ``__cause__`` is the exception of the step, where it was raised in this process.
    """
    cause = failure.exception
    message = str(cause).removesuffix(cause.hint).rstrip() if isinstance(cause, TidemillError) else failure.message
    raised = f"{failure.type}: {message}" if message else failure.type
    lines = []
    inputs = [f"{name} = {describe(artifact)}" for name, artifact in uses]
    if inputs:
        lines.append("  inputs: " + "; ".join(inputs))
    tail = log.strip().splitlines()[-_LAST_LINES:]
    if tail:
        lines.append("  its log ended with:")
        lines += [f"    {line}" for line in tail]
    hint = cause.hint if isinstance(cause, TidemillError) else f"See the whole log: tidemill show {run_id}"
    error = _KINDS[failure.kind](f"step {node!r} failed: {raised}", hint=hint)
    error.details = "\n".join(lines)
    error.__cause__ = cause
    if isinstance(cause, TidemillError):
        error.exit_code = cause.exit_code
    return error


def describe(artifact: Artifact) -> str:
    """An artifact in a few words.

    >>> table = Artifact("01j", "3f9a12bc77", "table", "polars", 100, 0, metadata={"rows": 12, "columns": 3})
    >>> describe(table)
    'table 3f9a12bc77 (12 rows, artifact 01j)'
    """
    rows = f"{artifact.metadata['rows']:,} rows, " if "rows" in artifact.metadata else ""
    return f"{artifact.type} {artifact.digest[:10]} ({rows}artifact {artifact.id})"


def first_error(errors: Sequence[Exception]) -> Exception:
    """The error of a run in which several steps failed: the first, which says how many others there are."""
    first = errors[0]
    if len(errors) > 1:
        others = sorted({str(error).partition(":")[0].splitlines()[0] for error in errors[1:]})
        first.add_note(f"{len(errors) - 1} more failed in this run: {', '.join(others[:5])}")
    return first
