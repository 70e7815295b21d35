"""How a command that ran a pipeline ends: with the run's summary, and with the error of a run that failed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from tidemill.cli.options import Setup
from tidemill.cli.output import as_error, emit
from tidemill.core.errors import RunError, TidemillError
from tidemill.engine import RunResult


def emit_end(result: RunResult, summary: Mapping[str, Any]) -> None:
    """Print the last line of ``--json``: the summary, with the error and the exit code of a run that failed."""
    error = error_of(result)
    ending = {} if error is None else as_error(error, error.exit_code)
    emit({**summary, "error": ending.get("error"), "exit_code": ending.get("exit_code", 0)})


def fail(setup: Setup, result: RunResult) -> None:
    """End with the error of the run, if it has one; under ``--json`` it has been said."""
    error = error_of(result)
    if error is None:
        return
    if setup.json and not setup.debug:
        sys.exit(error.exit_code)
    raise error


def error_of(result: RunResult) -> TidemillError | None:
    """Why a run failed; what the pipeline's own body raised is an error of the run, not of Tidemill."""
    error = result.error
    if error is None or isinstance(error, TidemillError):
        return error
    raised = RunError(
        f"the body of pipeline {result.pipeline!r} raised {type(error).__name__}: {error}",
        hint="For the traceback: --debug",
    )
    raised.__cause__ = error
    return raised
