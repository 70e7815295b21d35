"""The data plane: typed rows in, decisions out, in this process, with NumPy and ONNX Runtime only.

Every face (REST, embedded use, batches) goes through a `Predictor`, so there is one validation path and one answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from tidemill.core.digests import digest_value
from tidemill.core.errors import MissingExtraError, ModelError, UnsafeModelError
from tidemill.core.model import Model
from tidemill.packaging.engines import Engine, EngineName, open_engine
from tidemill.packaging.package import Package, model_of, open_folder
from tidemill.packaging.preparation import compile_columns, compile_row
from tidemill.packaging.validator import Policy, Problem, compile_many, compile_validator
from tidemill.serving.decisions import compile_decision
from tidemill.serving.limits import brief
from tidemill.serving.online import RequestFeatures
from tidemill.serving.tensors import outputs_of

if TYPE_CHECKING:
    from tidemill.data.types import Tabular

#: From this many rows on, the engine that was faster for batches answers; loading it is not worth it for fewer.
BATCH_ROWS = 256


@dataclass(slots=True)
class Answer:
    """What became of a request's rows, in their order.

    Parameters
    ----------
    predictions
        One mapping per row: the decision under the target's name, probabilities, warnings; or ``{"error": …}``.
    values
        The typed values of each row, in the order of the signature's columns; None for a row that was refused.
    scores
        What the engine gave: a number, or a list of probabilities; None for a row without an answer.
    problems
        Why rows were refused, in the order of the rows.
    failures
        How many rows the engine itself could not score.
    columns
        The values once more, by column and of the rows that have any, where they are known so: lists, or arrays of
        float64 where NaN stands for None.
    """

    predictions: list[dict[str, Any]]
    values: list[Sequence[Any] | None]
    scores: list[Any]
    problems: list[Problem] = field(default_factory=list)
    failures: int = 0
    columns: Sequence[Any] | None = None


class Predictor:
    """A packaged model, ready to answer.

    Parameters
    ----------
    package
        What `tidemill.packaging.open_folder` or the registry gave.
    policy
        How rows unlike the training rows are met; by default they are answered with a warning.
    version, alias
        What the registry calls this model, for the log and the answers.
    engine
        Force an engine; by default the one that the package chose for single rows and the one for batches.
    allow
        Classes of your own that a model may be of, as ``"module:Class"``.
    features
        Who completes rows with the features that they do not bring, such as `tidemill.serving.online.OnlineViews`.
    """

    def __init__(
        self,
        package: Package,
        *,
        policy: Policy | None = None,
        version: int | None = None,
        alias: str | None = None,
        engine: EngineName | None = None,
        allow: Sequence[str] = (),
        features: RequestFeatures | None = None,
    ) -> None:
        manifest = package.manifest
        self.model = package.name
        self.version = version
        self.alias = alias
        self.policy = policy or Policy()
        self.signature = package.signature
        self.package_digest = package.digest
        self.schema_digest = digest_value(manifest["signature"])[:16]
        self.columns = self.signature.inputs.names
        #: Its answers as tensors of the Open Inference Protocol.
        self.outputs = outputs_of(self.signature)
        self.manifest: Mapping[str, Any] = manifest
        engines = manifest.get("engines", {"online": "native", "batch": "native"})
        self._online: EngineName = engine or engines["online"]
        self._batch: EngineName = engine or engines["batch"]
        self._takes_missing = bool(manifest.get("takes_missing", True))
        self._package = package
        self.contract = package.contract
        self.features: RequestFeatures | None = None
        self._allow = tuple(allow)
        self._engines: dict[EngineName, Engine] = {self._online: _engine(package, self._online, allow)}
        self.validate = compile_validator(self.signature, self.policy, package.contract)
        self._usual = compile_many(self.signature, self.policy, package.contract)
        self._has_repairs = bool(manifest["cleaning"])  # which take columns of values, not arrays
        self._prepare = compile_row(manifest["cleaning"], manifest["encoding"])
        self._prepare_columns = compile_columns(manifest["cleaning"], manifest["encoding"])
        self.decide = compile_decision(self.signature)
        # The first request does not pay for what is made once, and a model that cannot answer is not served.
        tried = self.answer([self.example()])
        self.features = features
        if tried.failures:
            raise ModelError(f"{package.name!r} cannot score its own example: {tried.problems[0].error}")

    def example(self) -> dict[str, Any]:
        """A row that the model accepts."""
        row = self.manifest.get("example")
        return dict(row) if row else {column.name: None for column in self.signature.inputs}

    def trained(self) -> Model:
        """The model that was packaged, as training returned it: for ``tidemill.evaluate``, ``explain``, ``against=``.

        It is read from the native file, with the library that it was trained with.
        """
        return model_of(self._package)

    @overload
    def predict(self, rows: Mapping[str, Any]) -> dict[str, Any]: ...
    @overload
    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]: ...
    @overload
    def predict(self, rows: Tabular) -> list[dict[str, Any]]: ...
    def predict(
        self, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]] | Tabular
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Answer one row, or many.

        Parameters
        ----------
        rows
            A mapping of columns to values, a sequence of them, or a table of Polars, pandas or Arrow.

        Returns
        -------
        dict, or list of dict
            ``{"late": True, "probability": 0.71}``, with ``"warnings"`` where a row is unlike the training rows. In a
            list, a row that cannot be scored gives ``{"error": {…}}`` and the others are answered.

        Raises
        ------
        InvalidRequestError
            When a single row cannot be scored; it names the column, the value and what is allowed.
        UsageError
            For what is neither rows nor a table.
        """
        if isinstance(rows, Mapping):
            answer = self.answer([rows])
            if answer.problems:
                raise answer.problems[0].to_error()
            return answer.predictions[0]
        if not isinstance(rows, Sequence):  # a table: only who has one loads what reads it
            rows = import_module("tidemill.data.types").collected(rows).to_dicts()
        return self.answer(rows).predictions

    def answer(self, rows: Sequence[Any]) -> Answer:
        """Answer rows and keep what a log needs; never raises for what is in a row.

        Raises
        ------
        StoreUnavailableError
            When features cannot be read that rows may not be without.
        """
        missing: Sequence[str] = ()
        if self.features is not None:
            rows, missing = self.features.complete(rows)
        if len(rows) == 1:
            return self._answer_one(rows[0], missing)
        answer = Answer([{}] * len(rows), [None] * len(rows), [None] * len(rows))
        warnings = {place: [one] for place, one in enumerate(missing) if one}
        columns, good = self._typed(answer, rows, warnings)
        if good:
            self._score(answer, good, columns, warnings)
        return answer

    def encoded(self, columns: Sequence[Any]) -> NDArray[np.float32]:
        """Columns of typed values (see `Answer.values`) as the matrix that the engines take."""
        return self._prepare_columns(dict(zip(self.columns, columns, strict=True)))

    def scores(self, matrix: NDArray[np.float32], *, as_batch: bool) -> NDArray[np.floating[Any]]:
        """What the engine gives for an encoded matrix: the one for so many rows, or the one for batches."""
        return self._engine_for(max(len(matrix), BATCH_ROWS) if as_batch else len(matrix))(matrix)

    def _answer_one(self, row: Any, missing: Sequence[str] = ()) -> Answer:
        """The path of a single row: the same as of many, without their bookkeeping."""
        warnings = [one for one in missing if one] if missing else []
        typed = self.validate(row, 0, warnings)
        if isinstance(typed, Problem):
            return _refused(typed)
        values = [*typed.values()]
        try:
            matrix = self._prepare(typed)
            if not self._takes_missing and math.isnan(np.vdot(matrix, matrix)):  # NaN only if one of them is
                return _refused(self.hole(matrix, 0, 0))
            score = self._engines[self._online](matrix)[0].tolist()
            if type(score) is float and not warnings and math.isfinite(score):
                return Answer([self.decide(score)], [values], [score])
            answer = Answer([{}], [values], [None])
            self._settle(answer, 0, score, warnings)
        except Exception as error:  # whatever an engine raises, the request gets its answer
            answer = Answer([{}], [values], [None])
            _fail(answer, 0, error)
        return answer

    def _typed(
        self, answer: Answer, rows: Sequence[Any], warnings: dict[int, list[str]]
    ) -> tuple[Sequence[Any], Sequence[int]]:
        """The columns of the rows that can be scored, and their places."""
        known = self._usual(rows)
        answer.values = known.rows
        for place in sorted(known.odd):
            typed = self.validate(rows[place], place, warnings.setdefault(place, []))
            if isinstance(typed, Problem):
                _refuse(answer, place, typed)
            else:
                answer.values[place] = (*typed.values(),)
        good: Sequence[int] = range(len(rows))
        if answer.problems:
            good = [place for place in good if answer.values[place] is not None]
        if self._has_repairs:
            return list(zip(*map(answer.values.__getitem__, good), strict=True)), good
        columns = known.with_odd(good)
        answer.columns = columns or None
        return columns, good

    def _score(
        self, answer: Answer, good: Sequence[int], columns: Sequence[Any], warnings: dict[int, list[str]]
    ) -> None:
        try:
            matrix = self.encoded(columns)
            if not self._takes_missing:
                matrix, good = self._without_holes(answer, matrix, good)
            scores = self._engine_for(len(good))(matrix) if good else np.empty(0)
        except Exception:  # one row may have made it fail: the others are still answered
            self._score_singly(answer, good, warnings)
            return
        given = scores.tolist()
        if len(good) < len(answer.values) or not np.isfinite(scores).all():
            for place, score in zip(good, given, strict=True):
                self._settle(answer, place, score, warnings.get(place))
            return
        answer.predictions, answer.scores = list(map(self.decide, given)), given
        for place, said in warnings.items():
            _warn(answer.predictions[place], said)

    def _score_singly(self, answer: Answer, good: Sequence[int], warnings: dict[int, list[str]]) -> None:
        for place in good:
            try:
                matrix = self._prepare(dict(zip(self.columns, answer.values[place] or (), strict=True)))
                score = self._engines[self._online](matrix)[0].tolist()
                self._settle(answer, place, score, warnings.get(place))
            except Exception as error:
                _fail(answer, place, error)

    def _settle(self, answer: Answer, place: int, score: Any, warnings: list[str] | None) -> None:
        if not all(map(math.isfinite, score)) if isinstance(score, list) else not math.isfinite(score):
            _fail(answer, place, f"it gave {score}")
            return
        prediction = self.decide(score)
        _warn(prediction, warnings)
        answer.predictions[place] = prediction
        answer.scores[place] = score

    def _engine_for(self, rows: int) -> Engine:
        """The engine for so many rows; a native form that cannot be read here leaves the work to ONNX."""
        name = self._batch if rows >= BATCH_ROWS else self._online
        if name not in self._engines:
            try:
                self._engines[name] = open_engine(self._package, name, self._allow)
            except (ModuleNotFoundError, MissingExtraError, UnsafeModelError):  # no library, or a class not allowed
                self._engines[name] = self._engines[self._online]
        return self._engines[name]

    def _without_holes(
        self, answer: Answer, matrix: NDArray[np.float32], good: Sequence[int]
    ) -> tuple[NDArray[np.float32], Sequence[int]]:
        whole: NDArray[np.bool_] = np.asarray(np.isnan(matrix).any(axis=1)) == 0
        for index in np.flatnonzero(~whole).tolist():
            _refuse(answer, good[index], self.hole(matrix, index, good[index]))
            answer.columns = None
        return matrix[whole], [place for place, is_whole in zip(good, list(whole), strict=True) if is_whole]

    def hole(self, matrix: NDArray[np.float32], index: int, place: int) -> Problem:
        """What is wrong with a row of an encoded matrix that has a hole, for a model that takes none."""
        column = str(self.manifest["encoding"][int(np.isnan(matrix[index]).argmax())]["column"])
        return Problem(place, column, "None", f"column {column!r} is missing or unknown, and the model needs it")


def open_predictor(folder: str | Path, *, policy: Policy | None = None, allow: Sequence[str] = ()) -> Predictor:
    """A predictor from a package's folder, without any store; `allow` as for `Predictor`."""
    return Predictor(open_folder(folder), policy=policy, allow=allow)


def _engine(package: Package, name: EngineName, allow: Sequence[str]) -> Engine:
    try:
        return open_engine(package, name, allow)
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "ml", purpose=f"the {name} engine of {package.name!r}") from error


def _warn(prediction: dict[str, Any], warnings: list[str] | None) -> None:
    if warnings:
        prediction.setdefault("warnings", warnings)  # an answer that is called so is not written over


def _refuse(answer: Answer, place: int, problem: Problem) -> None:
    problem = brief(problem, len(answer.problems))
    answer.values[place] = None
    answer.problems.append(problem)
    answer.predictions[place] = {"error": problem.to_dict()}


def _refused(problem: Problem) -> Answer:
    """The answer to a single row that is refused."""
    answer = Answer([{}], [None], [None])
    _refuse(answer, 0, problem)
    return answer


def failed(place: int, error: object) -> Problem:
    """What becomes of a row that the engine could not score."""
    return Problem(place, None, "", f"the model could not score this row: {error}")


def _fail(answer: Answer, place: int, error: object) -> None:
    answer.failures += 1
    problem = failed(place, error)
    answer.problems.append(problem)
    answer.predictions[place] = {"error": problem.to_dict()}
