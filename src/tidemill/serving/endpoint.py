"""One served name: its predictor, its log, and the one function that answers a request and writes it down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidemill.core import clock
from tidemill.core.ids import new_id
from tidemill.serving.log.writer import PredictionLog
from tidemill.serving.predictor import Answer, Predictor

#: Requests with more rows are scored in a thread, so that others are answered meanwhile.
_THREAD_ROWS = 512


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that is in the log, and the id under which it is found there."""

    request_id: str
    answer: Answer


class Endpoint:
    """A name under which a model answers.

    Parameters
    ----------
    predictor
        The model behind the name.
    log
        Where its answers are written, or None to write none (embedded use that logs elsewhere).
    variant
        Which variant of the name it is; the alias by default.
    """

    def __init__(self, predictor: Predictor, log: PredictionLog | None, *, variant: str | None = None) -> None:
        self.predictor = predictor
        self.name = predictor.model
        self.variant = variant or predictor.alias or ""
        self.log = log
        signature = predictor.signature
        self._schema = {
            "model": self.name,
            "version": predictor.version,
            "variant": self.variant,
            # Of the version too: two versions may take the same columns.
            "digest": f"{predictor.schema_digest}-{predictor.version or 0}-{self.variant}",
            "columns": [{"name": c.name, "type": c.type, "semantic": c.semantic} for c in signature.inputs],
            "target": signature.target,
        }

    @property
    def title(self) -> str:
        """For people: ``flight-delay@champion v1``."""
        alias = f"@{self.predictor.alias}" if self.predictor.alias else ""
        version = "" if self.predictor.version is None else f" v{self.predictor.version}"
        return f"{self.name}{alias}{version}"

    def answer(self, rows: Sequence[Any], *, client: str = "", entities: Sequence[Any] | None = None) -> Answered:
        """Answer rows and write that down; when it cannot be written, there is no answer.

        Raises
        ------
        OutOfSpaceError
            When the log cannot be written.
        """
        ts, started = clock.now_us(), clock.elapsed()
        answer = self.predictor.answer(rows)
        request_id = new_id()
        if self.log is not None:
            values = [None if row is None else list(row.values()) for row in answer.rows]
            latency = int((clock.elapsed() - started) * 1e6)
            self.log.append(
                self._schema, request_id, ts, latency, values, answer.predictions, client=client, entities=entities
            )
        return Answered(request_id, answer)

    async def settled(self) -> None:
        """Return once the log is as safe as was asked for."""
        if self.log is not None:
            await self.log.settled()

    def close(self) -> None:
        """Finish the log's segment."""
        if self.log is not None:
            self.log.close()


async def score(endpoint: Endpoint, rows: list[Any], *, client: str, entities: list[Any] | None = None) -> Answered:
    """Answer rows here, or in a thread when there are many; logged, and as safe as was asked for, when it returns."""
    if len(rows) > _THREAD_ROWS:
        answered = await asyncio.to_thread(endpoint.answer, rows, client=client, entities=entities)
    else:
        answered = endpoint.answer(rows, client=client, entities=entities)
    await endpoint.settled()
    return answered
