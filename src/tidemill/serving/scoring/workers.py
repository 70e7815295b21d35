"""Who scores chunks: this process, or several, each with a model of its own."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import polars as pl

from tidemill.core.errors import WorkerDiedError
from tidemill.packaging.package import open_folder
from tidemill.project import find_modules, load_project
from tidemill.serving.predictor import Predictor
from tidemill.serving.scoring.rows import Chunk
from tidemill.serving.scoring.scorer import Scorer

_scorers: list[Scorer] = []


@dataclass(frozen=True, slots=True)
class Model:
    """What a worker opens: a package's folder, the classes that it may be of, and the project that has them."""

    folder: str
    allow: tuple[str, ...]
    project: str
    profile: str | None


def scored_here(
    scorer: Scorer, chunks: Iterable[Chunk], texts: tuple[str, ...]
) -> Iterator[tuple[Chunk, pl.DataFrame]]:
    """Each chunk with its answers."""
    for chunk in chunks:
        yield chunk, scorer.score(chunk.inputs, texts)


def scored_by(
    workers: int, model: Model, chunks: Iterable[Chunk], texts: tuple[str, ...]
) -> Iterator[tuple[Chunk, pl.DataFrame]]:
    """Each chunk with its answers, in order, scored in so many processes; few chunks are in memory at a time.

    Raises
    ------
    WorkerDiedError
        When a process is gone; what was written before stays.
    """
    # Not forked: a forked copy of a process that has run a Polars query hangs.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_open, initargs=(model,)) as pool:
        waiting: deque[tuple[Chunk, Future[pl.DataFrame]]] = deque()
        try:
            for chunk in chunks:
                waiting.append((chunk, pool.submit(_score, chunk.inputs, texts)))
                if len(waiting) > workers + 1:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        except BrokenProcessPool as error:
            hint = "Run the same again: it goes on after the chunks that are done. With less memory, give --workers 1."
            raise WorkerDiedError("a process that scored rows is gone", hint=hint) from error
        finally:
            for _, future in waiting:
                future.cancel()


def _first(waiting: deque[tuple[Chunk, Future[pl.DataFrame]]]) -> tuple[Chunk, pl.DataFrame]:
    chunk, future = waiting.popleft()
    return chunk, future.result()


def _open(model: Model) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if model.allow:
        find_modules(load_project(Path(model.project), profile=model.profile))
    _scorers.append(Scorer(Predictor(open_folder(model.folder), allow=model.allow)))


def _score(inputs: pl.DataFrame, texts: tuple[str, ...]) -> pl.DataFrame:
    return _scorers[0].score(inputs, texts)


def _end_with_parent(end: Callable[[int], object] = os._exit) -> None:
    """A worker whose parent was killed has nobody to give its answers to."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        end(1)
