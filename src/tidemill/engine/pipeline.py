"""``@pipeline``: a function that calls steps and thereby defines a graph."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, overload

from tidemill.core.errors import PipelineError
from tidemill.engine import active, parameters
from tidemill.engine.body import Findings, IdentityTest, inspect_body
from tidemill.engine.caching import Hit
from tidemill.engine.events import Listener
from tidemill.engine.executors import Executor
from tidemill.engine.handle import handles_in
from tidemill.engine.hints import hints_of
from tidemill.engine.lease import LeaseSettings
from tidemill.engine.plan import Plan, plan_body
from tidemill.engine.result import RunResult
from tidemill.engine.run import RunOptions, run_body
from tidemill.engine.step import Step
from tidemill.engine.whereabouts import whereabouts
from tidemill.project import use_project
from tidemill.store import Store

P = ParamSpec("P")
R = TypeVar("R")

#: Parameter names that `Pipeline.run` needs for itself.
RESERVED = frozenset({"resume"})


class Using(TypedDict, total=False):
    """How a pipeline is run, apart from its arguments; see `tidemill.engine.run.RunOptions`."""

    store: Store
    project: str
    root: Path
    listeners: Sequence[Listener]
    cache: bool
    threads: int
    executors: Mapping[str, Executor]
    lease: LeaseSettings
    stand_ins: Mapping[str, Hit]


class Pipeline(Generic[P, R]):
    """A function declared with `pipeline`.

    Calling it runs it and returns its result; inside another pipeline's body it becomes part of that one's graph.
    """

    def __init__(self, function: Callable[P, R], name: str, using: Using | None = None) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name
        self.signature = inspect.signature(function)
        self._using: Using = using or {}
        self._is_checked = False

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it and return its result, or raise what went wrong."""
        if active.scheduler() is not None:
            return self._inline(args, kwargs)
        run = self._run(self._given(args, kwargs), None)
        if run.error is not None:
            raise run.error
        result: R = run.result
        return result

    def run(self, *args: Any, resume: str | None = None, **kwargs: Any) -> RunResult:
        """Run the pipeline and return the record of the run, also when it failed.

        Parameters
        ----------
        args, kwargs
            The arguments of the pipeline.
        resume
            Go on from an earlier run, by id or ``"last"``: it has its arguments, unless others are given, and does not
            repeat what finished. A new run is stored, which says what it was resumed from.
        """
        return self._run(self._given(args, kwargs), resume)

    def plan(self, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """What running it with these arguments would do, and why; no step is run."""
        self._checked()
        where, project = whereabouts(self._using, self.function)
        with use_project(project, where["store"]):
            return plan_body(self.name, self.function, self._bound(self._given(args, kwargs)), RunOptions(**where))

    def bind_text(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Keyword arguments read from text by the annotations of the parameters, as the command line gives them.

        Raises
        ------
        UsageError
            For an unknown parameter, with the nearest known one, or a text that cannot be read.
        """
        return parameters.parse_all(texts, self.signature, self.hints, f"pipeline {self.name!r}")

    def using(self, **options: Unpack[Using]) -> Pipeline[P, R]:
        """The same pipeline with other surroundings: a store, a project's name, listeners, …; see `RunOptions`."""
        merged: Using = {**self._using, **options}
        return Pipeline(self.function, self.name, merged)

    @cached_property
    def hints(self) -> Mapping[str, Any]:
        """The resolved type hints; those that cannot be resolved are absent."""
        return hints_of(self.function)

    def _run(self, given: Mapping[str, Any], resume: str | None) -> RunResult:
        self._checked()
        where, project = whereabouts(self._using, self.function)

        def bind(recorded: Mapping[str, Any]) -> dict[str, Any]:
            return self._bound(parameters.read(recorded, given))

        with use_project(project, where["store"]):
            return run_body(self.name, self.function, bind, RunOptions(**where, resume=resume))

    def _given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return dict(self.signature.bind_partial(*args, **kwargs).arguments)
        except TypeError as error:
            raise TypeError(f"{self.name}() {error}") from None

    def _bound(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        try:
            bound = self.signature.bind(**arguments)
        except TypeError as error:
            raise TypeError(f"{self.name}() {error}") from None
        bound.apply_defaults()
        return dict(bound.arguments)

    def _inline(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
        findings = self._checked()
        arguments = self._bound(self._given(args, kwargs))
        for test in findings.on_parameters:
            if any(True for _ in handles_in(arguments.get(test.name))):
                raise _refusal(self.name, test, inspect.getfile(self.function))
        body: Callable[..., R] = self.function
        return body(**arguments)

    def _checked(self) -> Findings:
        """Look at the body again when it is first used: names may have been defined after the pipeline."""
        if not self._is_checked:
            self._findings = check_body(self.name, self.function)
            self._is_checked = True
        return self._findings

    def __reduce__(self) -> str:
        return str(self.__qualname__)  # type: ignore[attr-defined]  # set by update_wrapper

    def __repr__(self) -> str:
        return f"<pipeline {self.function.__module__}.{self.name}>"


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...


@overload
def pipeline(*, name: str | None = ...) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...


def pipeline(function: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
    """Declare a function as a pipeline, bare (``@pipeline``) or under another name (``@pipeline(name="nightly")``).

    Its body is executed once per run by the coordinator: each step call schedules a node and returns a handle. Work
    belongs in steps and not in the body: while the body's own code runs, the steps that were started go on, and no
    other is started until it calls a step, uses a value or ends.

    Raises
    ------
    PipelineError
        When the function is not plain, or its body looks at a handle with ``is``, ``isinstance``, ``type``, ``id`` or
        ``match``, which cannot see the value.
    """

    def declare(function: Callable[..., Any]) -> Pipeline[..., Any]:
        odd = inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function)
        if odd or not inspect.isfunction(function):
            raise PipelineError("@pipeline takes a plain function", value=function, hint="Declare it with def.")
        shown = name or function.__name__
        for item in inspect.signature(function).parameters.values():
            unnamed = item.kind in (item.POSITIONAL_ONLY, item.VAR_POSITIONAL, item.VAR_KEYWORD)
            if unnamed or item.name in RESERVED:
                why = "is reserved for Pipeline.run" if item.name in RESERVED else "has no name of its own"
                raise PipelineError(f"a parameter of pipeline {shown!r} {why}", value=str(item), hint="Rename it.")
        check_body(shown, function)
        return Pipeline(function, shown)

    return declare if function is None else declare(function)


def check_body(name: str, function: Callable[..., Any]) -> Findings:
    """Refuse a body that looks at a handle where only the value would do."""
    assert inspect.isfunction(function)
    findings = inspect_body(function, lambda found: isinstance(found, Step | Pipeline))
    for test in findings.on_handles:
        raise _refusal(name, test, function.__code__.co_filename)
    return findings


def _refusal(name: str, test: IdentityTest, filename: str) -> PipelineError:
    return PipelineError(
        f"pipeline {name!r} tests the handle {test.name!r} with {test.form} in {Path(filename).name}, line {test.line};"
        " a handle is not its value there",
        hint=f"Write {test.name}.value() to wait for the value, or move the test into a step.",
    )
