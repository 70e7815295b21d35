"""One served name: its variants, its log, and the one function that answers a request and writes it down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tidemill.core import clock
from tidemill.core.errors import OutOfSpaceError
from tidemill.core.ids import new_id
from tidemill.serving.gathering import TooLateError
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.metrics import Meters
from tidemill.serving.predictor import Answer, Predictor
from tidemill.serving.shadowing import Shadowing
from tidemill.serving.variants import Traffic, Variant, shares_of, variant_of

#: Requests with more rows are scored in a thread, so that others are answered meanwhile.
_THREAD_ROWS = 512
#: Seconds until it is said again that answers cannot be logged.
_SAID_AGAIN = 60.0
#: How a predictor answers rows: as they are, or columns of them.
By = Callable[[Predictor, Any], Answer]
_log = logging.getLogger("tidemill.serving")


def _by_rows(predictor: Predictor, rows: Sequence[Any]) -> Answer:
    return predictor.answer(rows)


class Caller(NamedTuple):
    """Who asks, about whom, and until when an answer is of use.

    Parameters
    ----------
    client
        Where the request came from.
    trace
        The trace that it belongs to: 32 hexadecimal digits of W3C's ``traceparent``.
    key
        What the choice of a variant sticks to; by default the first entity.
    entities
        Whom the rows are about, one key per row.
    deadline
        The moment (`clock.elapsed`) from which nobody waits any more.
    """

    client: str = ""
    trace: str = ""
    key: str | None = None
    entities: Sequence[Any] | None = None
    deadline: float | None = None


#: Who asks when nobody says.
NOBODY = Caller()


class Answered(NamedTuple):
    """An answer that is in the log, the id under which it is found there, and who gave it."""

    request_id: str
    answer: Answer
    variant: Variant


class Endpoint:
    """A name under which models answer.

    Parameters
    ----------
    name
        What clients call it.
    traffic
        The variants behind it; replace it and the next request meets the new one.
    log
        Where its answers are written, or None to write none (embedded use that logs elsewhere).
    refuse_unlogged
        Whether a request is refused when its answer cannot be written; else it is answered, and counted.
    """

    def __init__(self, name: str, traffic: Traffic, log: PredictionLog | None, *, refuse_unlogged: bool = True) -> None:
        self.name = name
        self.traffic = traffic
        self.log = log
        #: Whether an answer waits until its record is on the disk.
        self.durable = log is not None and log.durable
        self._refuse_unlogged = refuse_unlogged
        self._shadowing = Shadowing(name)
        self._told_unlogged = -_SAID_AGAIN

    @classmethod
    def of(cls, predictor: Predictor, log: PredictionLog | None) -> Endpoint:
        """An endpoint of one model under the model's own name."""
        return cls(predictor.model, Traffic((variant_of(predictor),), salt=predictor.model), log)

    @property
    def traffic(self) -> Traffic:
        """The variants behind the name."""
        return self._traffic

    @traffic.setter
    def traffic(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._meters = {who: self._meters_of(who) for who in (*traffic.live, *traffic.shadows)}

    @property
    def predictor(self) -> Predictor:
        """The model that describes the name: the first variant's."""
        return self._traffic.live[0].predictor

    @property
    def title(self) -> str:
        """For people: ``flight-delay@champion v1``, or ``flight-delay (champion v1 90 %, challenger v2 10 %)``."""
        live, shadows = self.traffic.live, self.traffic.shadows
        if len(live) == 1 and not shadows:
            alias = f"@{self.predictor.alias}" if self.predictor.alias else ""
            return f"{self.name}{alias}{_version(live[0])}"
        shares = shares_of(live)
        told = [f"{_called(one)} {shares[one.name] * 100:.3g} %" for one in live]
        return f"{self.name} ({', '.join([*told, *(f'shadow {_called(one)}' for one in shadows)])})"

    def answer(
        self,
        rows: Any,
        caller: Caller = NOBODY,
        variant: Variant | None = None,
        *,
        by: By = _by_rows,
    ) -> Answered:
        """Answer rows and write that down; when it cannot be written, there is no answer.

        Parameters
        ----------
        rows
            What was sent, each row a mapping of columns to values.
        caller
            Who asks.
        variant
            Who answers; by default whoever has its turn.
        by
            How a predictor answers such rows: they may be columns.

        Raises
        ------
        OutOfSpaceError
            When the log cannot be written.
        """
        ts, started = clock.now_us(), clock.elapsed()
        if caller.deadline is not None and started > caller.deadline:
            raise TooLateError
        who = variant or self.choose(caller)
        return self._told(who, rows, by(who.predictor, rows), caller, ts, started, by)

    async def gather(self, rows: Sequence[Any], caller: Caller, who: Variant) -> Answered:
        """As `answer`, by a slow model, which is asked about the rows of several requests at once."""
        if who.gathering is None or len(rows) > who.gathering.rows:
            return await asyncio.to_thread(self.answer, rows, caller, who)
        ts, started = clock.now_us(), clock.elapsed()
        answer = await who.gathering.answer(rows, caller.deadline)
        return self._told(who, rows, answer, caller, ts, started, _by_rows)

    def _told(
        self, who: Variant, rows: Any, answer: Answer, caller: Caller, ts: int, started: float, by: By
    ) -> Answered:
        """Write an answer down, and have the shadows asked what it was asked."""
        request_id = new_id()
        self._write(who, request_id, ts, clock.elapsed() - started, answer, caller)
        self.meters(who).answered(len(rows), len(answer.problems), answer.failures)
        if shadows := self._traffic.shadows:
            self._shadowing.ask(
                shadows, rows, lambda shadow, asked: self._shadow(shadow, by, asked, request_id, caller)
            )
        return Answered(request_id, answer, who)

    def choose(self, caller: Caller) -> Variant:
        """The variant whose turn it is."""
        key = caller.key
        if key is None and caller.entities and caller.entities[0] is not None:
            key = str(caller.entities[0])
        return self._traffic.choose(key)

    def meters(self, who: Variant) -> Meters:
        """Where a variant's answers are counted."""
        return self._meters.get(who) or self._meters_of(who)  # one that was replaced may still answer

    async def settled(self) -> None:
        """Return once the log is as safe as was asked for."""
        if self.log is not None:
            await self.log.settled()

    def close(self) -> None:
        """Let the shadows finish, and finish the log's segment."""
        self._shadowing.close()
        if self.log is not None:
            self.log.close()

    def _write(self, who: Variant, request_id: str, ts: int, seconds: float, answer: Answer, caller: Caller) -> None:
        if self.log is None:
            return
        try:
            self.log.append(
                who.schema, request_id, ts, int(seconds * 1e6), answer.values, answer.predictions,
                client=caller.client, entities=caller.entities, trace=caller.trace, columns=answer.columns,
            )  # fmt: skip
        except OutOfSpaceError as error:
            self.meters(who).unlogged(len(answer.values))
            self._tell_unlogged(error)
            if self._refuse_unlogged:
                raise

    def _tell_unlogged(self, error: OutOfSpaceError) -> None:
        """Say in the server's own log that the prediction log is full: every minute, however many requests meet it."""
        if clock.elapsed() - self._told_unlogged < _SAID_AGAIN:
            return
        self._told_unlogged = clock.elapsed()
        became = "refused" if self._refuse_unlogged else "given, and counted, without their record"
        _log.error("answers of %s are %s: %s", self.name, became, error)

    def _meters_of(self, who: Variant) -> Meters:
        return Meters.of(self.name, who.name, who.predictor.version)

    def _shadow(self, who: Variant, by: By, rows: Any, request_id: str, caller: Caller) -> None:
        """Ask a shadow what was asked, under the same request id."""
        ts, started = clock.now_us(), clock.elapsed()
        answer = by(who.predictor, rows)
        self._write(who, request_id, ts, clock.elapsed() - started, answer, caller)


def _called(who: Variant) -> str:
    """A variant and its version; one that is named by its version says it once."""
    version = _version(who)
    return who.name if version == f" {who.name}" else f"{who.name}{version}"


def _version(who: Variant) -> str:
    return "" if who.predictor.version is None else f" v{who.predictor.version}"


async def score(endpoint: Endpoint, rows: Sequence[Any], caller: Caller) -> Answered:
    """Answer rows here, or in a thread when it takes long; logged, and as safe as was asked for, when it returns."""
    variant = endpoint.choose(caller)
    if variant.slow or len(rows) > _THREAD_ROWS:
        answered = await endpoint.gather(rows, caller, variant)
    else:
        answered = endpoint.answer(rows, caller, variant)
    if endpoint.durable:
        await endpoint.settled()
    return answered
