"""What became of the rows of a table, and the forms in which it is told: an answer of each row, or a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.model import Signature
from tidemill.packaging.validator import Problem
from tidemill.serving.decisions import Decide
from tidemill.serving.predictor import Answer
from tidemill.serving.scoring.answers import decide_columns, reason_of, told_columns

_PLACE = "place "
Values = list[Sequence[Any] | None]


@dataclass(frozen=True, slots=True)
class Judged:
    """The scores of those rows that have one, and why the others have none.

    Parameters
    ----------
    height
        How many rows there were.
    places, scores
        The rows that were scored, in their order, and their finite scores.
    problems
        Of all other rows, in their order.
    failures
        How many of them the engine could not score.
    warnings
        Which rows are answered with a warning, and its words.
    own
        The warnings of rows that have words of their own, by row; they take the place of `warnings` there.
    values
        Gives the rows' typed values, None for each row that was refused: for the log, which not all need.
    """

    height: int
    places: NDArray[np.intp]
    scores: NDArray[Any]
    problems: Sequence[Problem] = ()
    failures: int = 0
    warnings: tuple[tuple[NDArray[np.bool_], str], ...] = ()
    own: Mapping[int, list[str]] = field(default_factory=dict)
    values: Callable[[], Values] = list

    @classmethod
    def of(cls, answers: Sequence[Answer], target: str) -> Judged:
        """The same of rows that were answered one by one, some at a time, to a question about a `target`."""
        scores = [score for answer in answers for score in answer.scores]
        told = [prediction for answer in answers for prediction in answer.predictions]
        starts = accumulate((len(answer.predictions) for answer in answers), initial=0)
        problems = [
            replace(problem, row=problem.row + start)
            for start, answer in zip(starts, answers, strict=False)
            for problem in sorted(answer.problems, key=lambda problem: problem.row)
        ]
        refused = {problem.row for problem in problems}
        places = [place for place in range(len(told)) if place not in refused]
        return cls(
            height=len(told),
            places=np.array(places, dtype=np.intp),
            scores=np.array([scores[place] for place in places]),
            problems=problems,
            failures=sum(answer.failures for answer in answers),
            own={} if target == "warnings" else _warned(told, places),
            values=lambda: [values for answer in answers for values in answer.values],
        )

    def said(self) -> dict[int, list[str]]:
        """The warnings of rows that have any; of those that were not scored they mean nothing."""
        words: dict[int, list[str]] = {}
        for mask, text in self.warnings:
            for row in np.flatnonzero(mask).tolist():
                words.setdefault(row, []).append(text)
        return {**words, **self.own}

    def predictions(self, decide: Decide) -> list[dict[str, Any]]:
        """What the caller is told of each row."""
        told: list[dict[str, Any]] = [{}] * self.height
        for place, score in zip(self.places.tolist(), self.scores.tolist(), strict=True):
            told[place] = decide(score)
        for place, words in self.said().items():
            if words and told[place]:  # a row that has its answer
                told[place].setdefault("warnings", words)
        for problem in self.problems:
            told[problem.row] = {"error": problem.to_dict()}
        return told

    def answer(self, decide: Decide) -> Answer:
        """What a predictor would have answered to the rows."""
        scores: list[Any] = [None] * self.height
        for place, score in zip(self.places.tolist(), self.scores.tolist(), strict=True):
            scores[place] = score
        told, values = self.predictions(decide), self.values()
        return Answer(told, values, scores, list(self.problems), self.failures)

    def table(self, signature: Signature) -> pl.DataFrame:
        """The rows of a table of predictions: see `answers.answer_columns`."""
        answers = decide_columns(signature, self.scores)
        words = self._words(lambda text: json.dumps(text, ensure_ascii=False), "[", ", ", "]")
        answers = answers.with_columns(words.alias("warnings"))
        errors = [reason_of(problem.to_dict()) for problem in self.problems]
        return self._in_order(answers, pl.DataFrame({"error": pl.Series(errors, dtype=pl.String)}))

    def file(self, signature: Signature, start: int = 0) -> pl.DataFrame:
        """The rows of a file of answers, which has only the columns that are used; `start` is the first row's number.

        >>> from tidemill.core.schema import TableSchema
        >>> signature = Signature(TableSchema(()), "regression", "delay")
        >>> judged = Judged(2, np.array([1]), np.array([7.5]), [Problem(0, "dest", "3", "it takes text")])
        >>> judged.file(signature).select("delay", "error.row", "error.column").rows()
        [(None, 0, 'dest'), (7.5, None, None)]
        """
        answers = told_columns(signature, self.scores) if len(self.scores) else pl.DataFrame()
        words = self._words(str, "", "; ", "")
        if words.null_count() < len(words) and signature.target != "warnings":
            answers = answers.with_columns(words.alias("warnings"))
        kinds = {"row": pl.Int64, "column": pl.String, "value": pl.String, "error": pl.String, "allowed": pl.String}
        told = [(one.row + start, one.column, one.value, one.sentence, one.allowed) for one in self.problems]
        errors = pl.DataFrame(told, schema=kinds, orient="row").rename(lambda name: f"error.{name}")
        return self._in_order(answers, errors)

    def _in_order(self, answers: pl.DataFrame, errors: pl.DataFrame) -> pl.DataFrame:
        """Both in the order of the rows."""
        if errors.is_empty():
            return answers
        if answers.is_empty():
            return pl.concat([answers, errors], how="diagonal")
        others = pl.Series(_PLACE, [problem.row for problem in self.problems], dtype=pl.Int64)
        here = pl.Series(_PLACE, self.places, dtype=pl.Int64)
        both = pl.concat([answers.with_columns(here), errors.with_columns(others)], how="diagonal")
        return both.sort(_PLACE).drop(_PLACE)

    def _words(self, quoted: Callable[[str], str], before: str, between: str, after: str) -> pl.Series:
        """The warnings of the rows that were scored, joined."""
        said = pl.select(pl.repeat(None, len(self.places), dtype=pl.String)).to_series()
        for mask, text in self.warnings:
            here, more = pl.Series(mask[self.places]), quoted(text)
            if here.any():
                longer = pl.when(pl.col("said").is_null()).then(pl.lit(more)).otherwise(pl.col("said") + between + more)
                frame = pl.DataFrame({"said": said, "here": here})
                said = frame.select(pl.when("here").then(longer).otherwise("said").alias("said")).to_series()
        if said.null_count() < len(said):
            said = before + said + after
        if self.own:
            scored = np.zeros(self.height, dtype=bool)
            scored[self.places] = True
            rows = np.sort(np.fromiter(self.own, dtype=np.intp, count=len(self.own)))
            rows = rows[scored[rows]]
            listed = (self.own[row] for row in rows.tolist())
            texts = [before + between.join(map(quoted, words)) + after if words else None for words in listed]
            said = said.scatter(np.searchsorted(self.places, rows), pl.Series(texts, dtype=pl.String))
        return said


def _warned(told: Sequence[Mapping[str, Any]], places: Sequence[int]) -> dict[int, list[str]]:
    return {place: told[place]["warnings"] for place in places if "warnings" in told[place]}
