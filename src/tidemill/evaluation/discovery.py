"""Where is the model clearly worse than it should be? A search over columns and pairs that does not cry wolf."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.tasks import TASKS
from tidemill.evaluation.records import WeakSlice
from tidemill.evaluation.scoring import Scored, leading_metrics
from tidemill.evaluation.slices import labels_of
from tidemill.measures.inputs import Floats
from tidemill.measures.intervals import Estimate, delong
from tidemill.measures.multiplicity import benjamini_hochberg
from tidemill.measures.registry import METRICS, estimate

#: The share of false discoveries that is accepted among slices.
LEVEL = 0.05
#: Slices with fewer rows are not tried, nor those of a smaller share.
MIN_ROWS, MIN_SHARE = 50, 0.005
#: Slices whose effect is smaller are not worth telling, however certain they are.
MIN_EFFECT = {"biased": 0.15, "overconfident": 0.15, "blind": 0.1, "inaccurate": 0.25}
#: The search reads at most this many rows, tries pairs of so many slicings, and tells so many slices.
SEARCHED, PAIRED, TOLD = 200_000, 16, 10
_VALUES = 40
_TIME_PARTS = ("month", "weekday", "hour")
# A sum of fewer expected events than this is not near enough to a normal distribution.
_MIN_VARIANCE = 5.0

#: Small, since there are as many for each pair as there are rows.
Codes = NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class _Slicing:
    """The value of one slicing, or of a pair of them, in each row as a code; -1 where it is not tried."""

    names: tuple[str, ...]
    codes: Codes
    values: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """What is asked of each slice: a mean that is zero where the model is as good as it should be."""

    kind: str
    #: What is observed in each row, what is expected, its variance where nothing is wrong, and what effects are shares
    #: of; of errors, which are compared with those of all other rows, themselves and their squares.
    columns: tuple[Floats, ...]
    against_others: bool = False
    both_sides: bool = False


def weak_slices(
    scored: Scored, columns: Sequence[str] = (), *, resamples: int = 200, seed: int = 0
) -> tuple[WeakSlice, ...]:
    """Search the model's inputs, and `columns`, for values and pairs of values on which the model is clearly worse.

    Parameters
    ----------
    scored
        Labelled rows with predictions.
    columns
        Slicings beside the model's inputs, such as ``"month of sched_dep"``. A column that is only known later than
        the prediction says more than the model can, and makes it look worse than it is.
    resamples, seed
        Of the intervals, and of the sample of rows.

    Returns
    -------
    tuple of WeakSlice
        The clearest first, each found on the rows outside those before it.

    Notes
    -----
    A class with a rate near one half has a larger loss than others under the best of models, so losses are not
    compared. Probabilities are compared with what happened, once they are made right on average (by a logistic curve
    through all rows): their bias, and their squared error with the one that they imply. P-values of all slices that
    are tried are adjusted together (Benjamini & Hochberg, 1995).
    """
    if scored.truth.ndim != 1 or scored.model.signature.task not in TASKS or len(scored.truth) < 2 * MIN_ROWS:
        return ()
    rows = np.arange(len(scored.truth))
    if len(rows) > SEARCHED:
        rows = np.sort(np.random.default_rng(seed).choice(rows, SEARCHED, replace=False))
    if not _questions(scored, rows, np.ones(len(rows), dtype=bool)):
        return ()
    smallest = max(MIN_ROWS, math.ceil(MIN_SHARE * len(rows)))
    names = [*dict.fromkeys((*_slicings(scored.frame, scored.model.signature.inputs.names), *columns))]
    frame = scored.frame if len(rows) == scored.frame.height else scored.frame[rows]
    tried = [_coded(frame, name, smallest) for name in names]
    single = [slicing for slicing in tried if slicing is not None]
    found = _search(scored, rows, [*single, *_pairs(single)], smallest)
    if TASKS[scored.model.signature.task].classifies and scored.scores.ndim == 1:
        found += _blind(scored, rows, single, found)
    return tuple(_told(scored, entry, resamples, seed) for entry in found[:TOLD])


@dataclass(frozen=True, slots=True)
class _Found:
    names: tuple[str, ...]
    value: tuple[str, ...]
    kind: str
    expected: float
    observed: float
    effect: float
    p_value: float


def _questions(scored: Scored, rows: NDArray[np.intp], left: NDArray[np.bool_]) -> list[_Question]:
    """What is asked of slices, where the probabilities are right on average on the rows that are left."""
    kind = TASKS[scored.model.signature.task]
    truth, scores = scored.truth[rows], scored.scores[rows]
    if not kind.classifies:
        if scores.ndim != 1 or "mae" not in METRICS[scored.model.signature.task]:
            return []
        errors = np.abs(truth - scores)
        return [_Question("inaccurate", (errors, errors**2), against_others=True)]
    sides = scores.ndim == 1
    if not sides:  # of many classes: is the most likely one right as often as it says?
        truth, scores = (scores.argmax(axis=1) == truth).astype(np.float64), scores.max(axis=1)
    if not left.any() or truth[left].min() == truth[left].max():
        return []
    chances = _recalibrated(truth, scores, left, is_probability=scored.are_probabilities)
    spread = chances * (1 - chances)
    wrong = spread * (1 - 2 * chances) ** 2
    return [
        _Question("biased", (truth, chances, spread, np.sqrt(spread)), both_sides=sides),
        _Question("overconfident", ((truth - chances) ** 2, spread, wrong, spread)),
    ]


def _recalibrated(truth: Floats, scores: Floats, left: NDArray[np.bool_], *, is_probability: bool) -> Floats:
    """Probabilities that are right on average: a logistic curve through the scores, by Newton's method."""
    if is_probability:
        clipped = np.clip(scores, 1e-6, 1 - 1e-6)
        signal = np.log(clipped / (1 - clipped))
    else:
        signal = (scores - scores.mean()) / (scores.std() or 1.0)
    every = np.stack([np.ones(len(signal)), signal])
    design, outcome = every[:, left], truth[left]
    weights = np.array([0.0, 1.0])
    for _ in range(25):
        chances = 1 / (1 + np.exp(-np.clip(weights @ design, -30, 30)))
        hessian = (design * (chances * (1 - chances))) @ design.T + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, design @ (outcome - chances))
        weights = weights + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(np.clip(1 / (1 + np.exp(-np.clip(weights @ every, -30, 30))), 1e-6, 1 - 1e-6))


def _slicings(frame: pl.DataFrame, columns: Sequence[str]) -> Iterator[str]:
    for name in columns:
        if name not in frame.columns:
            continue
        if isinstance(frame.schema[name], pl.Date | pl.Datetime):
            parts = _TIME_PARTS if isinstance(frame.schema[name], pl.Datetime) else _TIME_PARTS[:2]
            yield from (f"{part} of {name}" for part in parts)
        elif not frame.schema[name].is_nested() and not frame.schema[name].is_temporal():
            yield name


def _coded(frame: pl.DataFrame, name: str, smallest: int) -> _Slicing | None:
    labels = labels_of(frame, name).cast(pl.String).fill_null("(missing)")
    counts = labels.value_counts(sort=True).filter(pl.col("count") >= smallest).head(_VALUES)
    values = sorted(counts[labels.name].to_list())
    if len(values) < 2 and not (values and counts["count"][0] < frame.height):
        return None
    places = {value: code for code, value in enumerate(values)}
    codes = labels.replace_strict(places, default=-1, return_dtype=pl.Int16).to_numpy()
    return _Slicing((name,), codes, tuple((value,) for value in values))


def _pairs(single: Sequence[_Slicing]) -> Iterator[_Slicing]:
    for left, right in combinations(single[:PAIRED], 2):
        if (
            left.names[0].partition(" of ")[2]
            and left.names[0].partition(" of ")[2] == right.names[0].partition(" of ")[2]
        ):
            continue  # two parts of one time
        known = (left.codes >= 0) & (right.codes >= 0)
        codes = np.where(known, left.codes * np.int16(len(right.values)) + right.codes, np.int16(-1))
        yield _Slicing((*left.names, *right.names), codes, tuple((*a, *b) for a in left.values for b in right.values))


def _search(scored: Scored, rows: NDArray[np.intp], slicings: list[_Slicing], smallest: int) -> list[_Found]:
    """Take the clearest slice, leave its rows out, search again."""
    found: list[_Found] = []
    left = np.ones(len(rows), dtype=bool)
    while len(found) < TOLD:
        questions = _questions(scored, rows, left)
        tried = list(_tried(questions, slicings, left, smallest))
        if not any(len(asked.codes) for asked in tried):
            break
        adjusted = benjamini_hochberg(np.concatenate([asked.p_values for asked in tried]))
        clear, start = [], 0
        for asked in tried:
            p_values = adjusted[start : start + len(asked.codes)]
            start += len(asked.codes)
            passes = (p_values <= LEVEL) & (asked.effects >= MIN_EFFECT[asked.question.kind])
            clear += [(float(p_values[place]), asked.found(place)) for place in np.flatnonzero(passes).tolist()]
        if not clear:
            break
        clearest = min(clear, key=lambda item: (item[1].p_value, -item[1].effect))
        # Where one value alone shows most of what a pair shows, it is the plainer account, of more rows.
        wholes = [item for item in clear if _contains(item[1], clearest[1])]
        p_value, best = min(wholes or [clearest], key=lambda item: item[1].p_value)
        found.append(replace(best, p_value=p_value))
        slicing = next(slicing for slicing in slicings if slicing.names == best.names)
        left &= slicing.codes != slicing.values.index(best.value)
    return found


def _contains(whole: _Found, part: _Found) -> bool:
    """Whether `part` is of a pair of which `whole` has one value, the same kind, and at least half the effect."""
    if len(part.names) < 2 or len(whole.names) > 1 or whole.kind != part.kind or whole.effect < part.effect / 2:
        return False
    return (whole.names[0], whole.value[0]) in zip(part.names, part.value, strict=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A question that was asked of the values of a slicing: of those that enough rows have, by value."""

    question: _Question
    slicing: _Slicing
    codes: NDArray[np.intp]
    p_values: Floats
    expected: Floats
    observed: Floats
    effects: Floats

    def found(self, place: int) -> _Found:
        """What was seen of one of them."""
        numbers = (self.expected, self.observed, self.effects, self.p_values)
        value = self.slicing.values[self.codes[place]]
        return _Found(self.slicing.names, value, self.question.kind, *(float(of[place]) for of in numbers))


def _tried(
    questions: Sequence[_Question], slicings: Sequence[_Slicing], left: NDArray[np.bool_], smallest: int
) -> Iterator[_Tried]:
    """Every question of every slicing, on the rows that are left."""
    places = np.flatnonzero(left)
    columns = {id(column): column[places] for asked in questions for column in asked.columns}
    totals = {name: float(column.sum()) for name, column in columns.items()}
    for slicing in slicings:
        codes, many = slicing.codes[places].astype(np.intp) + 1, len(slicing.values) + 1
        counts = np.bincount(codes, minlength=many)[1:]
        enough = np.flatnonzero((counts >= smallest) & (len(places) - counts >= smallest))
        sums = {name: _sums(codes, column, many, enough) for name, column in columns.items()}
        for asked in questions:
            names, inside = [id(column) for column in asked.columns], counts[enough]
            parts = [sums[name] for name in names]
            if asked.against_others:
                rest = [totals[name] - sums[name] for name in names]
                yield _against_others(asked, slicing, enough, inside, parts, len(places) - inside, rest)
            else:
                yield _against_model(asked, slicing, enough, inside, parts)


def _sums(codes: NDArray[np.intp], values: Floats, many: int, wanted: NDArray[np.intp]) -> Floats:
    """The sums of the wanted codes; the first code, of what is not tried, does not count."""
    return np.asarray(np.bincount(codes, weights=values, minlength=many)[1:][wanted], dtype=np.float64)


def _against_model(
    asked: _Question, slicing: _Slicing, codes: NDArray[np.intp], inside: NDArray[np.intp], parts: Sequence[Floats]
) -> _Tried:
    """What was observed of each value beside what the probabilities expect, whose variance is known."""
    kept = parts[2] >= (_MIN_VARIANCE if asked.kind == "biased" else 1.0)
    inside, (observed, expected, variance, scale) = inside[kept], (part[kept] for part in parts)
    z, effects = (observed - expected) / np.sqrt(variance), (observed - expected) / scale
    sides = 2.0
    if asked.both_sides:
        z, effects, sides = np.abs(z), np.abs(effects), 1.0
    elif asked.kind == "biased":  # many classes: right less often than it says
        z, effects = -z, -effects
    return _Tried(asked, slicing, codes[kept], _tails(z) / sides, expected / inside, observed / inside, effects)


def _against_others(
    asked: _Question, slicing: _Slicing, codes: NDArray[np.intp], inside: NDArray[np.intp], parts: Sequence[Floats],
    outside: NDArray[np.intp], rest: Sequence[Floats],
) -> _Tried:  # fmt: skip
    """The mean of each value beside that of all other rows (Welch)."""
    mean, other = parts[0] / inside, rest[0] / outside
    noise = (parts[1] / inside - mean**2) / inside + (rest[1] / outside - other**2) / outside
    z = np.where(noise > 0, (mean - other) / np.sqrt(np.where(noise > 0, noise, 1.0)), 0.0)
    effects = (mean - other) / np.maximum(other, 1e-300)
    return _Tried(asked, slicing, codes, _tails(z) / 2, other, mean, effects)


def _tails(z: Floats) -> Floats:
    """Both tails of the normal distribution."""
    return np.array([math.erfc(value) for value in (z / math.sqrt(2)).tolist()])


def _blind(scored: Scored, rows: NDArray[np.intp], single: list[_Slicing], told: list[_Found]) -> list[_Found]:
    """Values of categories within which the model ranks worse than within the other values of the same slicing.

    Numbers cut into stretches are left out: within a stretch of its best input any model ranks worse.
    """
    tried = []
    truth, scores = scored.truth[rows], scored.scores[rows]
    for slicing in single:
        name = slicing.names[0]
        if name in scored.frame.columns and scored.frame.schema[name].is_numeric():
            continue
        areas = [
            delong(truth[slicing.codes == code], scores[slicing.codes == code]) for code in range(len(slicing.values))
        ]
        known = [
            (code, a.value, (a.high - a.low) / 3.92, a.rows)
            for code, a in enumerate(areas)
            if a.value is not None and a.low is not None and a.high is not None
        ]
        for code, area, error, _ in known:
            others = [entry for entry in known if entry[0] != code]
            share = sum(entry[3] for entry in others)
            if not others or error <= 0 or min((truth[slicing.codes == code] == side).sum() for side in (0, 1)) < 30:
                continue
            typical = sum(entry[1] * entry[3] for entry in others) / share
            noise = math.sqrt(error**2 + sum((entry[2] * entry[3] / share) ** 2 for entry in others))
            p_value = math.erfc((typical - area) / noise / math.sqrt(2)) / 2
            tried.append(_Found(slicing.names, slicing.values[code], "blind", typical, area, typical - area, p_value))
    if not tried:
        return []
    adjusted = benjamini_hochberg([entry.p_value for entry in tried])
    known_already = {(entry.names, entry.value) for entry in told}
    return [
        _Found(e.names, e.value, e.kind, e.expected, e.observed, e.effect, p)
        for p, e in sorted(zip(adjusted.tolist(), tried, strict=True), key=lambda pair: pair[0])
        if p <= LEVEL and e.effect >= MIN_EFFECT["blind"] and (e.names, e.value) not in known_already
    ]


def _told(scored: Scored, found: _Found, resamples: int, seed: int) -> WeakSlice:
    """The record, with the leading metric on the slice and on the other rows."""
    inside = np.ones(len(scored.truth), dtype=bool)
    for name, value in zip(found.names, found.value, strict=True):
        inside &= (labels_of(scored.frame, name).cast(pl.String).fill_null("(missing)") == value).to_numpy()
    name = leading_metrics(scored)[0]
    on, off = (_measured(scored, part, name, resamples, seed) for part in (inside, ~inside))
    return WeakSlice(
        dict(zip(found.names, found.value, strict=True)),
        int(inside.sum()),
        found.kind,  # type: ignore[arg-type]
        found.expected,
        found.observed,
        found.effect,
        found.p_value,
        name,
        on,
        off,
    )


def _measured(scored: Scored, part: NDArray[np.bool_], name: str, resamples: int, seed: int) -> Estimate:
    """The leading metric on a part, in closed form where its interval has one."""
    truth, scores, signature = scored.truth[part], scored.scores[part], scored.model.signature
    if name == "roc_auc":
        return delong(truth, scores)
    found = estimate(
        truth, scores, (name,), signature.task, threshold=signature.threshold, resamples=resamples, seed=seed
    )
    return found[name]
