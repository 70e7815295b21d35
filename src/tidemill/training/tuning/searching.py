"""The search: ask what to try, try it here or in worker processes, tell what became of it, and keep everything."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tidemill.core.clock import elapsed
from tidemill.core.errors import CancelledError
from tidemill.engine.context import current
from tidemill.engine.signals import Interrupts, Stopped, Why
from tidemill.training.frameworks import Fitting
from tidemill.training.noting import note_metrics
from tidemill.training.tuning.keeping import Kept
from tidemill.training.tuning.outcomes import Outcome, Reports
from tidemill.training.tuning.records import Ended, Trial
from tidemill.training.tuning.trying import Trying, attempt

if TYPE_CHECKING:
    from tidemill.training.tuning.asking import Asked, Asking


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be tried: so many trials, begun within so many seconds, so many at the same time."""

    trials: int
    seconds: float | None = None
    parallel: int = 1


@dataclass(frozen=True, slots=True)
class Searched:
    """All trials by number, why no further one began, and the first exception that a trial raised here."""

    trials: tuple[Trial, ...]
    ended: Ended
    exception: Exception | None = None
    hint: str = ""


class Runner(Protocol):
    """Where trials are carried out."""

    def submit(self, asked: Asked, asking: Asking) -> Future[Outcome]:
        """Begin a trial; the future never raises for what the trial does."""
        ...


class Here:
    """Carries trials out in this process, one after the other."""

    def __init__(self, trying: Trying, folds: Sequence[Fitting]) -> None:
        self._trying = trying
        self._folds = folds

    def submit(self, asked: Asked, asking: Asking) -> Future[Outcome]:
        """Carry a trial out, to its end."""
        judge = asking.judge(asked) if len(self._trying.metrics) == 1 else None
        reports = Reports(greater_is_better=next(iter(self._trying.metrics.values())), judge=judge)
        done: Future[Outcome] = Future()
        done.set_result(attempt(self._trying, self._folds, asked.params, reports))
        return done


@dataclass(eq=False)
class _Flying:
    """A trial that has been asked for and not yet told of."""

    asked: Asked
    run_id: str
    future: Future[Outcome]
    is_written: bool


@dataclass(eq=False)
class Search:
    """One search.

    Parameters
    ----------
    asking, runner, metrics
        What to try, where, and what is measured.
    kept
        Its place in the store, if it is kept.
    budget
        How much may be tried.
    told
        Called with each trial, in the order of their numbers.
    """

    asking: Asking
    runner: Runner
    metrics: Mapping[str, bool]
    kept: Kept | None
    budget: Budget
    told: Callable[[Trial], None] | None = None
    trials: list[Trial] = field(default_factory=list)
    _flying: deque[_Flying] = field(default_factory=deque)
    _failure: Outcome | None = None

    def run(self) -> Searched:
        """Search until the budget is used, the grid has no more points, or somebody stops it.

        A trial is asked for only when all but the last few (one less than run at a time) before it have been told of,
        in their order: so the study is the same whichever of them ends first.
        """
        for number, known in (self.kept.known if self.kept else {}).items():
            self.asking.plan(number, known.params)
        ended: Ended = "trials"
        stop = _Stop()
        try:
            with stop.installed():
                ended = self._search(stop)
        except (KeyboardInterrupt, Stopped) as stopped:
            self._abandon()
            if current() is not None or not any(trial.state == "complete" for trial in self.trials):
                raise _as_raised(stopped) from None
            ended = "interrupted"
        except BaseException:
            self._abandon()
            raise
        failure = self._failure
        return Searched(
            tuple(self.trials),
            ended,
            None if failure is None else failure.exception,
            "" if failure is None else failure.hint,
        )

    def _search(self, stop: _Stop) -> Ended:
        until = self._deadline()
        asked_all: Ended | None = None
        while True:
            while asked_all is None and len(self._flying) < self.budget.parallel:
                asked_all = self._next(until, stop)
            if not self._flying:
                return asked_all or "trials"
            self._collect(stop)

    def _next(self, until: float | None, stop: _Stop) -> Ended | None:
        """Begin one more trial, or say why there is none."""
        number = len(self.trials) + len(self._flying)
        if number >= self.budget.trials:
            return "trials"
        known = self.kept.known.get(number) if self.kept else None
        if known is None and until is not None and elapsed() >= until:
            return "timeout"
        asked = self.asking.ask()
        if asked is None:
            return "grid"
        if known is not None:
            done: Future[Outcome] = Future()
            done.set_result(known.outcome)
            self._flying.append(_Flying(asked, known.run_id, done, is_written=True))
            return None
        run_id = self.kept.begun(asked.number, asked.params) if self.kept else ""
        flying = _Flying(asked, run_id, Future(), is_written=False)
        self._flying.append(flying)
        with stop.open():
            flying.future = self.runner.submit(asked, self.asking)
        return None

    def _collect(self, stop: _Stop) -> None:
        """Wait for trials that end, write them, and tell of those whose turn it is."""
        waiting = [one.future for one in self._flying if not one.is_written]
        if waiting and not any(future.done() for future in waiting):
            with stop.open():
                wait(waiting, return_when=FIRST_COMPLETED)
        for one in self._flying:
            if not one.is_written and one.future.done():
                if self.kept:
                    self.kept.ended(one.run_id, one.future.result())
                one.is_written = True
        while self._flying and self._flying[0].is_written:
            self._tell(self._flying.popleft())

    def _tell(self, one: _Flying) -> None:
        outcome = one.future.result()
        self.asking.tell(one.asked, outcome)
        if outcome.state == "failed" and self._failure is None:
            self._failure = outcome
        trial = Trial(
            number=one.asked.number,
            params=one.asked.params,
            value=outcome.values.get(next(iter(self.metrics))),
            state=outcome.state,  # type: ignore[arg-type]  # a stopped one is never told of
            seconds=outcome.seconds,
            error=outcome.error,
            iterations=outcome.iterations,
            values=dict(outcome.values),
            reported=outcome.reported,
            run_id=one.run_id,
        )
        self.trials.append(trial)
        note_metrics({**trial.values, "seconds": trial.seconds}, "trial", step=trial.number)
        if self.told is not None:
            self.told(trial)

    def _abandon(self) -> None:
        """Somebody stopped the search: what has not ended is recorded as stopped, what has ended is kept."""
        for one in self._flying:
            if self.kept is None or one.is_written or not one.run_id:
                continue
            finished = one.future.done() and not one.future.cancelled() and one.future.exception() is None
            outcome = one.future.result() if finished else Outcome("stopped", error="the study was stopped")
            self.kept.ended(one.run_id, outcome)
            one.is_written = True

    def _deadline(self) -> float | None:
        """When no further trial begins; what earlier processes have spent on the study counts."""
        if self.budget.seconds is None:
            return None
        spent = sum(known.outcome.seconds for known in self.kept.known.values()) if self.kept else 0.0
        return elapsed() + self.budget.seconds - spent / self.budget.parallel


def _as_raised(stopped: KeyboardInterrupt | Stopped) -> BaseException:
    """What the caller of a search is told that was stopped before there was anything to return."""
    if isinstance(stopped, Stopped) and stopped.why == "terminate":
        return CancelledError("the study was stopped by SIGTERM before a trial had completed", hint="Start it again.")
    return KeyboardInterrupt() if isinstance(stopped, Stopped) else stopped


class _Stop:
    """Ctrl-C and SIGTERM end a search that stands alone, at once in a trial and at the next safe point elsewhere.

    In a step they belong to the run, which is cancelled by its engine.
    """

    def __init__(self) -> None:
        self._asked: Why | None = None
        self._interrupts = Interrupts(self._postponed)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Listen in this block, outside of steps."""
        if current() is not None:
            yield
            return
        with self._interrupts.installed():
            yield

    @contextmanager
    def open(self) -> Iterator[None]:
        """In this block a signal raises on the spot."""
        if self._asked is not None:
            raise Stopped(self._asked)
        self._interrupts.open = True
        try:
            yield
        finally:
            self._interrupts.open = False
        if self._asked is not None:
            raise Stopped(self._asked)

    def _postponed(self, why: Why) -> None:
        self._asked = why
