"""A table of rows in, a table of answers out: whole columns where they are in order, row by row where they are not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.schema import Column
from tidemill.data.repairs import columns_needed
from tidemill.packaging.package import Package
from tidemill.packaging.preparation import compile_columns
from tidemill.packaging.validator import Policy
from tidemill.serving.predictor import Predictor
from tidemill.serving.scoring.answers import decide_columns, flat_answers
from tidemill.serving.scoring.columns import as_arrays, check_columns
from tidemill.serving.scoring.rules import compile_rules

#: Rows that go the validator's way at a time: each is a mapping of Python objects meanwhile.
_SLOW_ROWS = 10_000
_PLACE = "place"


class Scorer:
    """A packaged model that answers tables.

    Parameters
    ----------
    package
        The model.
    policy
        How rows unlike the training rows are met.
    allow
        Classes of your own that the model may be of.
    """

    def __init__(self, package: Package, *, policy: Policy | None = None, allow: Sequence[str] = ()) -> None:
        manifest = package.manifest
        self.predictor = Predictor(package, policy=policy, allow=allow)
        self.signature = self.predictor.signature
        self._prepare: Any = compile_columns(manifest["cleaning"], manifest["encoding"])
        self._repaired = frozenset(_looked_at(manifest["cleaning"]))
        self._takes_missing = bool(manifest.get("takes_missing", True))
        self._rules = compile_rules(package.contract, self.signature.inputs)

    def score(self, frame: pl.DataFrame, texts: Sequence[str] = ()) -> pl.DataFrame:
        """The answers to rows, in their order; the columns are those of `answers.answer_columns`.

        Parameters
        ----------
        frame
            Rows that have every input of the model; other columns are ignored.
        texts
            Numbers and flags that are text because their format has nothing else: a cell that is neither spoils its
            own row only.
        """
        frame = frame.select(self.signature.inputs.names)
        if texts:
            return self._read(frame, texts)
        if self._rules is None:
            return self._slowly(frame)
        checked = check_columns(self.signature, frame, self.predictor.policy)
        good, scores = self._scores(checked.clean & ~self._rules(frame, checked.columns), checked.columns)
        answers = decide_columns(self.signature, scores)
        for mask, text in checked.warnings:
            answers = _warned(answers, mask[good], text)
        if checked.own:
            answers = _warned_singly(answers, good, checked.own)
        if len(good) == frame.height:
            return answers
        others = np.setdiff1d(np.arange(frame.height), good, assume_unique=True)
        parts = [
            answers.with_columns(pl.Series(_PLACE, good, dtype=pl.Int64)),
            self._slowly(frame[others]).with_columns(pl.Series(_PLACE, others, dtype=pl.Int64)),
        ]
        return pl.concat(parts).sort(_PLACE).drop(_PLACE)

    def _scores(self, clean: NDArray[np.bool_], columns: pl.DataFrame) -> tuple[NDArray[np.intp], NDArray[Any]]:
        """The places of rows that were scored, and their finite scores."""
        good = np.flatnonzero(clean)
        if not len(good):
            return good, np.empty(0)
        rows = columns if len(good) == columns.height else columns[good]
        try:
            matrix = self._prepare(as_arrays(rows, self._repaired))
            if not self._takes_missing and np.isnan(matrix).any():
                whole = ~np.isnan(matrix).any(axis=1)
                matrix, good = matrix[whole], good[whole]
            scores = np.asarray(self.predictor.scores(matrix)) if len(good) else np.empty(0)
        except Exception:  # one row may have made it fail: each gets its answer or its own error
            return good[:0], np.empty(0)
        finite = np.isfinite(scores) if scores.ndim == 1 else np.isfinite(scores).all(axis=1)
        return (good, scores) if finite.all() else (good[finite], scores[finite])

    def _read(self, frame: pl.DataFrame, texts: Sequence[str]) -> pl.DataFrame:
        """The answers to rows with cells of text."""
        read = frame.with_columns(_reading(name, self.signature.inputs[name]) for name in texts)
        wrong = [read[name].is_null() & frame[name].is_not_null() for name in texts]
        spoilt = pl.DataFrame({str(place): mask for place, mask in enumerate(wrong)}).select(
            pl.any_horizontal(pl.all())
        ).to_series()  # fmt: skip
        if not spoilt.any():
            return self.score(read)
        rows = read.filter(spoilt).to_dicts()
        for row, cells in zip(rows, frame.filter(spoilt).select(texts).to_dicts(), strict=True):
            row |= {name: cell for name, cell in cells.items() if row[name] is None}
        told = flat_answers(self.signature, self.predictor.answer(rows).predictions)
        places = pl.int_range(frame.height, eager=True).alias(_PLACE)
        parts = [
            self.score(read.filter(~spoilt)).with_columns(places.filter(~spoilt)),
            told.with_columns(places.filter(spoilt)),
        ]
        return pl.concat(parts).sort(_PLACE).drop(_PLACE)

    def _slowly(self, frame: pl.DataFrame) -> pl.DataFrame:
        parts = [
            flat_answers(self.signature, self.predictor.answer(part.to_dicts()).predictions)
            for part in frame.iter_slices(_SLOW_ROWS)
        ]
        return pl.concat(parts) if parts else flat_answers(self.signature, [])


def _reading(name: str, column: Column) -> pl.Expr:
    """A cell of text as a number or a flag; missing where it is neither."""
    text = pl.col(name).str.strip_chars()
    if column.type == "bool":
        words = {"true": True, "false": False, "1": True, "0": False}
        return text.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean).alias(name)
    return text.cast(pl.Float64, strict=False).alias(name)


def _looked_at(cleaning: Sequence[Any]) -> list[str]:
    return [name for repair in cleaning for name in columns_needed(repair)]


def _warned(answers: pl.DataFrame, mask: NDArray[np.bool_], text: str) -> pl.DataFrame:
    """The answers with one more warning where the mask says so; warnings are a JSON list."""
    quoted, said = json.dumps(text, ensure_ascii=False), pl.col("warnings")
    more = said.str.strip_suffix("]") + pl.lit(f", {quoted}]")
    longer = pl.when(said.is_null()).then(pl.lit(f"[{quoted}]")).otherwise(more)
    return answers.with_columns(pl.when(pl.Series(mask)).then(longer).otherwise(said).alias("warnings"))


def _warned_singly(answers: pl.DataFrame, good: NDArray[np.intp], own: Mapping[int, list[str]]) -> pl.DataFrame:
    """The answers of these rows with the warnings that are a row's own in the place of others."""
    rows = np.intersect1d(good, np.fromiter(own, dtype=np.intp, count=len(own)), assume_unique=True)
    texts = pl.Series([json.dumps(own[row], ensure_ascii=False) for row in rows.tolist()], dtype=pl.String)
    return answers.with_columns(answers["warnings"].scatter(np.searchsorted(good, rows), texts))
