"""The project's own tests of its models: plain functions marked with `model_test`, found, run, and told."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Literal, TypeVar, overload

import numpy as np
import polars as pl

from tidemill.core.errors import UsageError
from tidemill.evaluation.behaviours import Behaviour, shown
from tidemill.project import current_project

UserTest = Callable[..., object]
Severity = Literal["error", "warning"]
F = TypeVar("F", bound=UserTest)

#: What a test may ask for, by the names of its parameters.
PARAMETERS = ("model", "table", "evaluation")
#: Seconds after which a test is no longer waited for.
PATIENCE = 60.0
_MARK = "__tidemill_model_test__"


@dataclass(frozen=True, slots=True)
class Mark:
    """How a marked test is to be run."""

    severity: Severity = "error"
    timeout: float = PATIENCE


@overload
def model_test(function: F, /) -> F: ...


@overload
def model_test(*, severity: Severity = "error", timeout: float = PATIENCE) -> Callable[[F], F]: ...


def model_test(
    function: F | None = None, /, *, severity: Severity = "error", timeout: float = PATIENCE
) -> F | Callable[[F], F]:
    """Mark a plain function as a test of the project's models: every `tm.test` of the project runs it.

    Parameters
    ----------
    function
        It asks for what it needs by the names of its parameters: ``model``, ``table`` (the rows with a label) and
        ``evaluation``. It fails by an assertion, by returning False, or by returning a table of the rows that are
        wrong. Its first line of documentation says what is expected.
    severity
        ``"warning"`` for a test whose failure is told and fails nothing.
    timeout
        Seconds after which it has failed. What it does then is not stopped.

    Examples
    --------
    >>> @model_test(severity="warning")
    ... def storms_matter(model, table):
    ...     '''Strong wind makes flights later.'''
    >>> storms_matter.__tidemill_model_test__.severity
    'warning'
    """
    if severity not in ("error", "warning"):
        raise UsageError("a severity is 'error' or 'warning'", value=severity, hint="Leave it out for 'error'.")
    if timeout <= 0:
        raise UsageError("a timeout is a number of seconds above 0", value=timeout, hint="Leave it out for 60.")

    def marked(test: F) -> F:
        _asked(test)
        setattr(test, _MARK, Mark(severity, timeout))
        return test

    return marked if function is None else marked(function)


def project_tests(arguments: dict[str, Any]) -> dict[str, Any]:
    """Fill in ``tests`` with the marked functions of the project's modules that are loaded, where it is None."""
    if arguments.get("tests") is not None:
        return arguments
    project = current_project()
    return {**arguments, "tests": [] if project.file is None else collected_tests(project.root)}


def collected_tests(root: Path) -> list[UserTest]:
    """The marked functions of the loaded modules in a folder, in the order of their files and lines."""
    found: dict[tuple[str, int], UserTest] = {}
    for module in [*sys.modules.values()]:
        file = getattr(module, "__file__", None)
        if file is None or root not in Path(file).resolve().parents:
            continue
        for value in [*vars(module).values()]:
            if inspect.isfunction(value) and hasattr(value, _MARK):
                found[value.__code__.co_filename, value.__code__.co_firstlineno] = value
    return [found[place] for place in sorted(found)]


def run_user_tests(tests: Sequence[UserTest], given: Mapping[str, object]) -> tuple[Behaviour, ...]:
    """Run each test on what it asks for of `given`; whatever it raises, and a test that hangs, is its failure."""
    return tuple(_run(test, given) for test in tests)


def _run(test: UserTest, given: Mapping[str, object]) -> Behaviour:
    mark: Mark = getattr(test, _MARK, Mark())
    names = _asked(test)
    arguments = [given[name] for name in names]
    outcome: list[object] = []

    def work() -> None:
        try:
            outcome.append(test(*arguments))
        except BaseException as error:  # the test's own, whatever it is: told as its failure
            outcome.append(_Raised(error))

    context = copy_context()
    thread = Thread(target=context.run, args=(work,), daemon=True, name=f"model test {_name(test)}")
    thread.start()
    thread.join(mark.timeout)
    answer = outcome[0] if outcome else _Raised(TimeoutError(f"still running after {mark.timeout:g} s"))
    return _told(test, mark, answer, given["table"])


@dataclass(frozen=True, slots=True, eq=False)
class _Raised:
    error: BaseException


def _told(test: UserTest, mark: Mark, answer: object, table: object) -> Behaviour:
    name = _name(test)
    expected = (test.__doc__ or name.replace("_", " ")).strip().splitlines()[0]
    passed, detail, examples, failed = True, "", (), 0
    if isinstance(answer, _Raised):
        error = answer.error
        passed = False
        words = str(error).strip()
        detail = (
            words if isinstance(error, AssertionError | TimeoutError) else f"raised {type(error).__name__}: {words}"
        )
        detail = detail or "an assertion without a message"
    elif isinstance(answer, bool | np.bool_):
        passed, detail = bool(answer), "" if answer else "returned False"
    elif isinstance(answer, pl.DataFrame):
        passed, failed = answer.height == 0, answer.height
        detail = "" if passed else f"{failed} rows are not as expected"
        examples = shown(answer, answer.columns)  # type: ignore[assignment]
    elif answer is not None:
        passed = False
        detail = (
            f"returned {type(answer).__name__}, which says neither yes nor no: return True, False or a table of rows"
        )
    rows = table.height if isinstance(table, pl.DataFrame) else 0
    return Behaviour(
        name,
        "user",
        passed,
        expected,
        detail=detail,
        severity=mark.severity,
        rows=rows,
        failed=failed,
        examples=examples,
    )


def _name(test: UserTest) -> str:
    return getattr(test, "__name__", "test")


def _asked(test: UserTest) -> tuple[str, ...]:
    """The names of the test's parameters; two of other names are the model and the table."""
    names = tuple(
        parameter.name
        for parameter in inspect.signature(test).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    )
    unknown = [name for name in names if name not in PARAMETERS]
    if not unknown:
        return names
    if len(names) == 2 and len(unknown) == 2:
        return PARAMETERS[:2]
    raise UsageError(
        f"the test {_name(test)!r} asks for what there is not",
        value=unknown[0],
        hint=f"Its parameters may be {', '.join(PARAMETERS)}.",
    )
