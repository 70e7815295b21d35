"""Requests that wait for a slow model are answered together when it is free; nobody waits for others to come.

A network or a large forest costs little more for sixteen rows than for one. While such a model is busy, requests
gather; as soon as it is free it is asked about all of them at once, and each gets what it would have got alone. A
request that meets a free model is answered at once: there is no delay to choose, and none on a quiet server.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from tidemill.core import clock
from tidemill.serving.metrics import gathered
from tidemill.serving.predictor import Answer, Predictor


class TooLateError(Exception):
    """A request whose time was over before its turn came: it was not scored. It never leaves this room."""


@dataclass(slots=True)
class _Waiting:
    """A request that waits for its turn."""

    rows: Sequence[Any]
    deadline: float | None
    future: asyncio.Future[Answer]


class Gathering:
    """The requests that one slow model has yet to answer, on one event loop.

    Parameters
    ----------
    predictor
        The model.
    rows
        So many are asked about at once, at most.
    at_once
        So many threads ask at the same time; by default as many as there are processors.
    """

    def __init__(self, predictor: Predictor, rows: int, *, at_once: int | None = None) -> None:
        self.rows = rows
        self._predictor = predictor
        self._at_once = at_once or os.cpu_count() or 1
        self._waiting: deque[_Waiting] = deque()
        self._busy: set[asyncio.Task[None]] = set()

    async def answer(self, rows: Sequence[Any], deadline: float | None = None) -> Answer:
        """Answer rows, as `Predictor.answer` does, when their turn has come.

        Raises
        ------
        TooLateError
            When that is after the deadline.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(rows, deadline, loop.create_future())
        self._waiting.append(waiting)
        if len(self._busy) < self._at_once:
            task = loop.create_task(self._work())
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)
        return await waiting.future

    async def _work(self) -> None:
        while asked := self._next():
            gathered(self._predictor.model, len(asked))
            await self._ask(asked)

    async def _ask(self, asked: Sequence[_Waiting]) -> None:
        """Give each its answer; where there is none for all together, each gets its own, or its own error."""
        try:
            answers = await asyncio.to_thread(self._together, [one.rows for one in asked])
        except Exception as error:
            if len(asked) == 1:
                if not asked[0].future.done():
                    asked[0].future.set_exception(error)
                return
            for one in asked:
                if _is_awaited(one):
                    await self._ask([one])
            return
        for one, answer in zip(asked, answers, strict=True):
            if not one.future.done():
                one.future.set_result(answer)

    def _next(self) -> list[_Waiting]:
        """Those whose turn it is; whoever has gone, or waited too long, has lost it."""
        asked: list[_Waiting] = []
        rows = 0
        while self._waiting and (not asked or rows + len(self._waiting[0].rows) <= self.rows):
            one = self._waiting.popleft()
            if _is_awaited(one):
                asked.append(one)
                rows += len(one.rows)
        return asked

    def _together(self, asked: Sequence[Sequence[Any]]) -> list[Answer]:
        answer = self._predictor.answer([row for rows in asked for row in rows])
        return [answer] if len(asked) == 1 else parted(answer, [len(rows) for rows in asked])


def _is_awaited(one: _Waiting) -> bool:
    """Whether somebody still wants the answer; who waited too long is told so."""
    if not one.future.done() and one.deadline is not None and clock.elapsed() > one.deadline:
        one.future.set_exception(TooLateError())
    return not one.future.done()


def parted(answer: Answer, lengths: Sequence[int]) -> list[Answer]:
    """The answer to rows of several requests as one for each, as long as its request was.

    >>> answer = Answer([{"late": True}, {"late": False}, {"late": True}], [[1], [2], [3]], [0.9, 0.2, 0.8])
    >>> [part.predictions for part in parted(answer, [1, 2])]
    [[{'late': True}], [{'late': False}, {'late': True}]]
    """
    parts = []
    for end, length in zip(accumulate(lengths), lengths, strict=True):
        start = end - length
        part = Answer(answer.predictions[start:end], answer.values[start:end], answer.scores[start:end])
        for problem in answer.problems:
            if start <= problem.row < end:
                own = replace(problem, row=problem.row - start)
                part.problems.append(own)
                part.predictions[own.row] = {"error": own.to_dict()}
                part.failures += part.values[own.row] is not None  # a refused row has no values
        parts.append(part)
    return parts
