"""A table of rows in, what became of them out: whole columns where they are in order, row by row where they are not."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.model import Signature
from tidemill.data.repairs import columns_needed
from tidemill.packaging.preparation import compile_columns
from tidemill.packaging.validator import Problem
from tidemill.serving.limits import brief
from tidemill.serving.predictor import Predictor, failed
from tidemill.serving.scoring.cells import held_by_python, read_cells, typed_cells
from tidemill.serving.scoring.columns import Checked, as_arrays, check_columns
from tidemill.serving.scoring.judged import Judged, Values
from tidemill.serving.scoring.rules import compile_rules

#: Rows that go the validator's way at a time: each is a mapping of Python objects meanwhile.
_SLOW_ROWS = 10_000


class Scorer:
    """A predictor that answers tables, and answers them as it would their rows.

    Parameters
    ----------
    predictor
        The model.
    """

    def __init__(self, predictor: Predictor) -> None:
        cleaning = predictor.manifest["cleaning"]
        self.predictor = predictor
        self.signature = predictor.signature
        self._prepare: Any = compile_columns(cleaning, predictor.manifest["encoding"])
        self._repaired = frozenset(name for repair in cleaning for name in columns_needed(repair))
        self._takes_missing = bool(predictor.manifest.get("takes_missing", True))
        self._rules = compile_rules(predictor.contract, self.signature.inputs)

    def score(self, frame: pl.DataFrame, texts: Collection[str] = ()) -> pl.DataFrame:
        """The answers to rows, in their order; the columns are those of `answers.answer_columns`.

        Parameters
        ----------
        frame
            Rows that have every input of the model; other columns are ignored.
        texts
            Inputs that are text because their format has nothing else: a cell that is no value of its column spoils its
            own row only.
        """
        return self.judge(frame.select(self.signature.inputs.names), texts, as_batch=True).table(self.signature)

    def judge(self, frame: pl.DataFrame, texts: Collection[str] = (), *, as_batch: bool = False) -> Judged:
        """What becomes of rows, as `Predictor.answer` has it.

        Parameters
        ----------
        frame, texts
            As for `score`; inputs that are not there are missing, and no other columns may be there.
        as_batch
            Whether the engine for batches answers, however few rows there are.
        """
        if self._rules is None or self.predictor.features is not None or not frame.width:
            return self._slowly(frame, texts)
        read, unread = read_cells(frame, self.signature, texts)
        lacking = [pl.lit(None).alias(name) for name in self.signature.inputs.names if name not in read.columns]
        read = read.with_columns(lacking).select(self.signature.inputs.names)
        checked = check_columns(self.signature, read, self.predictor.policy)
        clean = checked.clean & ~self._rules(read, checked.columns) & ~unread
        own, problems = dict(checked.own), list[Problem]()
        typed: dict[int, dict[str, Any]] = {}
        odd = np.flatnonzero(~clean)
        parts = (typed_cells(part, self.signature, texts) for part in frame[odd].iter_slices(_SLOW_ROWS))
        for place, row in zip(odd.tolist(), chain.from_iterable(parts), strict=True):
            words: list[str] = []
            found = self.predictor.validate(row, place, words)
            if isinstance(found, Problem):
                problems.append(brief(found, len(problems)))
            else:
                typed[place], own[place] = found, words
        try:
            return self._scored(read, checked, clean, typed, own, problems, as_batch=as_batch)
        except Exception:  # one row may have made it fail: each gets its answer or its own error
            return self._slowly(frame, texts)

    def _scored(
        self,
        read: pl.DataFrame,
        checked: Checked,
        clean: NDArray[np.bool_],
        typed: dict[int, dict[str, Any]],
        own: dict[int, list[str]],
        problems: list[Problem],
        *,
        as_batch: bool,
    ) -> Judged:
        places, matrix = self._matrix(checked.columns, np.flatnonzero(clean), typed)
        if not self._takes_missing:
            whole = ~np.isnan(matrix).any(axis=1)
            problems += [self.predictor.hole(matrix, at, int(places[at])) for at in np.flatnonzero(~whole).tolist()]
            places, matrix = places[whole], matrix[whole]
        scores = np.empty(0) if not len(places) else np.asarray(self.predictor.scores(matrix, as_batch=as_batch))
        finite = np.isfinite(scores) if scores.ndim == 1 else np.isfinite(scores).all(axis=1)
        failures = [
            failed(int(places[at]), f"it gave {scores[at].tolist()}") for at in np.flatnonzero(~finite).tolist()
        ]
        told = sorted([*problems, *failures], key=lambda problem: problem.row)

        def values() -> Values:
            given = _typed_values(self.signature, read, checked.columns)
            for place in np.flatnonzero(~clean).tolist():
                given[place] = tuple(typed[place].values()) if place in typed else None
            for problem in problems:
                given[problem.row] = None
            return given

        return Judged(
            read.height, places[finite], scores[finite], told, len(failures), checked.warnings, own, values,
        )  # fmt: skip

    def _matrix(
        self, columns: pl.DataFrame, clean: NDArray[np.intp], typed: dict[int, dict[str, Any]]
    ) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The places of all rows that are in order, and their matrix."""
        singly = np.fromiter(typed, dtype=np.intp, count=len(typed))
        if not len(clean):
            return singly, self._encoded(typed)
        rows = columns if len(clean) == columns.height else columns[clean]
        matrix: NDArray[np.float32] = self._prepare(as_arrays(rows, self._repaired))
        if not len(singly):
            return clean, matrix
        places = np.concatenate([clean, singly])
        order = np.argsort(places)
        return places[order], np.concatenate([matrix, self._encoded(typed)])[order]

    def _encoded(self, typed: dict[int, dict[str, Any]]) -> NDArray[np.float32]:
        return self.predictor.encoded([[row[name] for row in typed.values()] for name in self.signature.inputs.names])

    def _slowly(self, frame: pl.DataFrame, texts: Collection[str]) -> Judged:
        parts = frame.iter_slices(_SLOW_ROWS)
        answers = [self.predictor.answer(typed_cells(part, self.signature, texts)) for part in parts]
        return Judged.of(answers, self.signature.target)


def _typed_values(signature: Signature, read: pl.DataFrame, columns: pl.DataFrame) -> Values:
    """The rows' values as the validator types them, from the columns; of rows that are not clean they mean nothing."""
    values = []
    for column in signature.inputs:
        held = columns[column.name]
        if held.dtype == pl.Float64:
            whole = column.type.startswith(("int", "uint"))
            held = held.cast(pl.Int64, strict=False) if whole else held.fill_nan(None)
        elif held.dtype == pl.Datetime:  # as it came: a day stays a day, and a zone its own
            held = held_by_python(read[column.name])
        values.append(held.to_list())
    return list(zip(*values, strict=True))
