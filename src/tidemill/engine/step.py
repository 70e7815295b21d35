"""``@step``: a typed function whose executions are recorded, cached and retried."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Literal, ParamSpec, TypeVar, overload

from tidemill.core.errors import PipelineError, UsageError
from tidemill.core.sizes import bytes_of
from tidemill.engine import active
from tidemill.engine.executors.base import process_limits
from tidemill.engine.hints import hints_of
from tidemill.engine.materialisers import parts, unstorable

P = ParamSpec("P")
R = TypeVar("R")
ExecutorName = Literal["inline", "worker", "isolated"]
Resolve = Callable[[dict[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How a step is executed; see `step` for their meaning."""

    cache: bool = True
    effect: bool = False
    retries: int = 0
    backoff: float = 1.0
    timeout: float | None = None
    executor: ExecutorName = "inline"
    cpu: float | None = None
    memory: int | None = None
    gpu: int = 0
    env: tuple[str, ...] = ()
    version: str = ""
    stage: str | None = None
    resolve: Resolve | None = None

    @property
    def runs_on(self) -> ExecutorName:
        """The executor in fact: limits need a process of their own, so an inline step with one runs in a worker."""
        return "worker" if self.executor == "inline" and process_limits(self) else self.executor


class Step(Generic[P, R]):
    """A function declared with `step`.

    Outside a pipeline's body, calling it calls the function. In the body it schedules a node and returns a handle.
    """

    def __init__(self, function: Callable[P, R], options: StepOptions) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.options = options
        self.name: str = function.__name__
        self.stage: str = options.stage or self.name
        self.signature = inspect.signature(function)
        self._flat = tuple(
            name for name, item in self.signature.parameters.items() if item.kind is inspect.Parameter.VAR_KEYWORD
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Schedule a node in a pipeline's body; call the function anywhere else."""
        scheduler = active.scheduler()
        if scheduler is not None:
            handle: R = scheduler.schedule(self, self.bind(args, kwargs))  # a handle stands for the value
            return handle
        if self.options.resolve is None:
            return self.function(*args, **kwargs)
        return self.function(**self.resolved(self.bind(args, kwargs)))  # type: ignore[call-arg]  # bound by name

    def map(self, items: Iterable[Any], **fixed: Any) -> list[R]:
        """Call the step once per item, with the same other arguments.

        In a pipeline's body it waits for the items (not for what they contain, if they are handles), keys each by its
        digest and returns handles in the order of the items; one that fails stops only what depends on it.

        Parameters
        ----------
        items
            Values of the first parameter that is not in `fixed`; a handle or anything that can be iterated.
        fixed
            The other arguments.
        """
        parameter = self._mapped(fixed)
        scheduler = active.scheduler()
        if scheduler is not None:
            handles: list[R] = scheduler.schedule_map(self, parameter, items, fixed)
            return handles
        return [self(**{parameter: item}, **fixed) for item in items]  # type: ignore[call-arg]  # bound by name

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments by name, defaults included."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}() {error}") from None
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        for name in self._flat:
            arguments.update(arguments.pop(name))
        return arguments

    def resolved(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments with mutable names pinned by the step's `resolve`, if it has one."""
        resolve = self.options.resolve
        return arguments if resolve is None else dict(resolve(arguments))

    @cached_property
    def hints(self) -> Mapping[str, Any]:
        """The resolved type hints; those that cannot be resolved are absent."""
        return hints_of(self.function)

    @cached_property
    def returns(self) -> Any:
        """The return annotation, None where it is missing or unknown."""
        annotation = self.hints.get("return")
        return None if annotation is type(None) else annotation

    @cached_property
    def parts(self) -> Mapping[str, Any] | None:
        """The names and annotations of its outputs when it has several.

        Raises
        ------
        PipelineError
            No artifact can hold what it returns.
        """
        if self.returns is None:
            return None
        wrong = unstorable(self.returns)
        if wrong is not None:
            raise PipelineError(
                f"step {self.name!r} returns what cannot be stored: tables, arrays, models and files in a container",
                value=wrong,
                hint="Return a tuple or a dataclass that names each, or one thing per step, with .map().",
            )
        return parts(self.returns)

    def _mapped(self, fixed: Mapping[str, Any]) -> str:
        for name, item in self.signature.parameters.items():
            if name not in fixed and item.kind is not inspect.Parameter.VAR_KEYWORD:
                return name
        raise PipelineError(
            f"step {self.name!r} has no parameter left for the items of .map()",
            value=sorted(fixed),
            hint="Leave its first parameter out of the fixed arguments.",
        )

    def __reduce__(self) -> str:
        return str(self.__qualname__)  # type: ignore[attr-defined]  # set by update_wrapper

    def __repr__(self) -> str:
        return f"<step {self.function.__module__}.{self.name}>"


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(
    *,
    cache: bool = ...,
    effect: bool = ...,
    retries: int = ...,
    backoff: float = ...,
    timeout: float | None = ...,
    executor: ExecutorName = ...,
    cpu: float | None = ...,
    memory: int | str | None = ...,
    gpu: int = ...,
    env: Iterable[str] = ...,
    version: str = ...,
    stage: str | None = ...,
    resolve: Resolve | None = ...,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a function as a step, bare (``@step``) or with options (``@step(retries=2)``).

    Parameters
    ----------
    cache
        Reuse the outputs of an earlier execution with the same key.
    effect
        It changes the world (registers, promotes, sends): never cached, executed once per run and key.
    retries, backoff
        How often to try again when the function raises or its worker dies, and the seconds before the first new try;
        the pause doubles each time, up to 60 s.
    timeout
        Seconds after which the step is stopped and fails; it then runs in a worker process.
    executor
        ``"inline"`` (this process), ``"worker"`` (a reused process) or ``"isolated"`` (a fresh process).
    cpu, memory, gpu
        What it needs: cores, bytes (or text such as ``"2GiB"``), devices; it then runs in a worker process, which has
        that and not more. An executor that cannot give it refuses.
    env
        Names of environment variables whose values belong to the key.
    version
        A label that belongs to the key; change it to make every earlier result of the step stale.
    stage
        The label for summaries; the name of the step if left out.
    resolve
        Turns mutable names among the arguments (a source, an alias) into pinned values, before the key is made.

    Raises
    ------
    PipelineError
        When the function or an option cannot be used.

    Examples
    --------
    >>> @step
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double(21)
    42
    >>> double.map([1, 2])
    [2, 4]
    """

    def declare(function: Callable[..., Any]) -> Step[..., Any]:
        _check_function(function)
        return Step(function, checked_options(function.__name__, options))

    return declare if function is None else declare(function)


def _check_function(function: Callable[..., Any]) -> None:
    if not inspect.isfunction(function):
        raise PipelineError(
            "@step takes a plain function", value=function, hint="Declare a function with def and decorate it."
        )
    asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if asynchronous or inspect.isgeneratorfunction(function):
        raise PipelineError(
            f"step {function.__name__!r} is {'asynchronous' if asynchronous else 'a generator'}",
            hint="Return the finished value from a plain function.",
        )
    unnamed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    for item in inspect.signature(function).parameters.values():
        if item.kind in unnamed:
            raise PipelineError(
                f"step {function.__name__!r} has a parameter without a name of its own",
                value=str(item),
                hint="Inputs are recorded by name: take a list instead of *args, and drop the /.",
            )


def checked_options(name: str, options: Mapping[str, Any]) -> StepOptions:
    """Validated options of a step; a wrong one raises a PipelineError that names the step and the option."""
    unknown = sorted(set(options) - set(StepOptions.__dataclass_fields__))
    if unknown:
        known = ", ".join(StepOptions.__dataclass_fields__)
        raise PipelineError(f"step {name!r} has unknown options", value=unknown, hint=f"Known options: {known}.")
    for option, (expected, is_good) in _RULES.items():
        if option in options and not is_good(options[option]):
            raise PipelineError(f"the {option!r} option of step {name!r} must be {expected}", value=options[option])
    given = dict(options)
    if "env" in given:
        given["env"] = tuple(given["env"])
    if isinstance(given.get("memory"), str):
        given["memory"] = bytes_of(given["memory"])
    return StepOptions(**given)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_memory(value: Any) -> bool:
    try:
        return value is None or bytes_of(value) > 0
    except UsageError:
        return False


def _is_names(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(isinstance(item, str) for item in value)


_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "cache": ("true or false", lambda value: isinstance(value, bool)),
    "effect": ("true or false", lambda value: isinstance(value, bool)),
    "retries": ("a whole number of zero or more", _is_count),
    "backoff": ("seconds of zero or more", lambda value: _is_number(value) and value >= 0),
    "timeout": ("seconds above zero or None", lambda value: value is None or (_is_number(value) and value > 0)),
    "executor": ("'inline', 'worker' or 'isolated'", lambda value: value in ("inline", "worker", "isolated")),
    "cpu": ("a number of cores above zero or None", lambda value: value is None or (_is_number(value) and value > 0)),
    "memory": ("bytes above zero, text such as '2GiB' or None", _is_memory),
    "gpu": ("a whole number of zero or more", _is_count),
    "env": ("a list of names of environment variables", _is_names),
    "version": ("text", lambda value: isinstance(value, str)),
    "stage": ("text or None", lambda value: value is None or (isinstance(value, str) and value != "")),
    "resolve": ("a function or None", lambda value: value is None or callable(value)),
}
