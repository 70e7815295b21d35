"""What was known of a series when a forecast of it is made: lags, means of windows, the last value, the last season."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tidemill.core.errors import DataError, SchemaError, UsageError
from tidemill.data.types import Tabular, collected, physical_type, require_columns
from tidemill.engine.step import step

#: What the names of the columns end with that hold the last known value, and that of the same place in the season.
LAST, SEASON = "__last", "__season"

#: A length of time, as Polars has it; a month and a year are as long as the calendar says.
_GAP = re.compile(r"(?:[1-9]\d*(?:mo|y|q|w|d|h|m|s))+")
#: Fewer matches than this among the rows that could have one: the times of the series are not on a grid.
_LEAST_MATCHED = 0.5
_SEASONS = 1_000

Gap = str | int


@step(stage="lag")
def lagged(
    table: Tabular,
    target: str,
    *,
    time: str,
    horizon: Gap,
    series: str | Sequence[str] = (),
    lags: Gap | Sequence[Gap] = (),
    windows: Gap | Sequence[Gap] = (),
    season: Gap | None = None,
) -> pl.DataFrame:
    """Add to each row what was known of its series `horizon` before it, and nothing newer.

    Parameters
    ----------
    table
        One row for each series and time. Rows without a target (the future) get what is known of the past as well.
    target
        The column to forecast.
    time
        The column of times: moments, dates, or whole numbers such as a week's.
    horizon
        How long before the row's time the forecast is made: ``"1d"``, ``"2w"``, ``"1mo"``; a whole number where times
        are whole numbers.
    series
        The columns that name the series that a row belongs to; none for a single series.
    lags
        For each, a column ``TARGET__lag_7d``: the value at exactly the row's time less the lag; missing where there is
        none. A lag is at least the horizon.
    windows
        For each, a column ``TARGET__mean_28d``: the mean over the window that ends `horizon` before the row (its end
        included, its beginning not).
    season
        A column ``TARGET__season``: the value at the same place of the latest season that is known.

    Returns
    -------
    DataFrame
        The rows in their order, with the new columns at the end; ``TARGET__last``, the newest value at or before the
        horizon, is always among them.

    Raises
    ------
    UsageError
        For a gap that is none, or a lag shorter than the horizon.
    DataError
        When a series has a time twice, a time is missing, a target is infinite, or lags find no value since times are
        not evenly spaced.

    Examples
    --------
    >>> sales = pl.DataFrame({"week": [1, 2, 3, 4], "sold": [10.0, 20.0, 30.0, None]})
    >>> lagged(sales, "sold", time="week", horizon=1, lags=[2], windows=[2])["sold__lag_2"].to_list()
    [None, None, 10.0, 20.0]
    """
    frame = collected(table)
    keys = (series,) if isinstance(series, str) else tuple(series)
    require_columns(frame, [target, time, *keys], purpose="lagged()")
    _check(frame, target, time, keys)
    backs, spans = _each(lags), _each(windows)
    lengths = [horizon, *backs, *spans, *([] if season is None else [season])]
    for gap in lengths:
        _require_gap(gap, frame.schema[time])
    known = _moved(frame, time, horizon)
    for lag in backs:
        if (_moved(frame, time, lag) > known).any():
            raise UsageError(
                "a lag is shorter than the horizon: its value is not known when the forecast is made",
                value=lag,
                hint=f"Use lags of at least {horizon!r}.",
            )
    past = _Past(frame, target, time, keys)
    columns = {f"{target}{LAST}": past.newest(known)}
    for lag in backs:
        columns[f"{target}__lag_{lag}"] = past.at(_moved(frame, time, lag), f"lag {lag!r}", lag)
    for window in spans:
        columns[f"{target}__mean_{window}"] = past.mean(_moved(frame, time, horizon, window), known)
    if season is not None:
        columns[f"{target}{SEASON}"] = past.at(_seasons(frame, time, season, known), f"season {season!r}", season)
    taken = [name for name in columns if name in frame.columns]
    if taken:
        raise UsageError("the table has columns of these names already", value=taken, hint="Drop or rename them.")
    return frame.with_columns(pl.Series(name, values).fill_nan(None) for name, values in columns.items())


class _Past:
    """The known values of every series in the order of time, for lookups at a moment for each row."""

    def __init__(self, frame: pl.DataFrame, target: str, time: str, keys: tuple[str, ...]) -> None:
        codes = frame.select(pl.struct(keys).rank("dense")).to_series().to_numpy() - 1 if keys else None
        self._code = np.zeros(frame.height, dtype=np.int64) if codes is None else codes.astype(np.int64)
        moments = frame[time].to_physical().cast(pl.Int64).to_numpy()
        values = frame[target].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        self._first = np.full(int(self._code.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(self._first, self._code, moments)
        known = ~np.isnan(values)
        order = np.lexsort((moments[known], self._code[known]))
        self._of, self._time, self._value = (
            array[known][order] for array in (self._code, moments, values)
        )  # fmt: skip
        self._starts = np.searchsorted(self._of, np.arange(int(self._code.max(initial=-1)) + 2))

    def _rows(self) -> Iterator[tuple[NDArray[np.intp], slice, int]]:
        """For each series: the places of its rows, where its known values lie, and its number."""
        order = np.argsort(self._code, kind="stable")
        numbers, begins = np.unique(self._code[order], return_index=True)
        for code, rows in zip(numbers.tolist(), np.split(order, begins[1:]), strict=True):
            yield rows, slice(int(self._starts[code]), int(self._starts[code + 1])), code

    def newest(self, until: pl.Series) -> NDArray[np.float64]:
        """The newest value at or before a moment."""
        moments, out = _physical(until), np.full(len(self._code), np.nan)
        for rows, where, _ in self._rows():
            place = np.searchsorted(self._time[where], moments[rows], side="right")
            padded = np.concatenate([[np.nan], self._value[where]])
            out[rows] = padded[place]
        return out

    def at(self, when: pl.Series, what: str, gap: Gap) -> NDArray[np.float64]:
        """The value at exactly a moment; an error when the times of the series are not such that there are any."""
        moments, out = _physical(when), np.full(len(self._code), np.nan)
        could = found = 0
        for rows, where, code in self._rows():
            times, values = self._time[where], self._value[where]
            place = np.searchsorted(times, moments[rows], side="left")
            hit = np.zeros(len(rows), dtype=bool)
            inside = place < len(times)
            hit[inside] = times[place[inside]] == moments[rows][inside]
            out[rows[hit]] = values[place[hit]]
            possible = moments[rows] >= self._first[code]
            could += int((possible & (moments[rows] <= (times[-1] if len(times) else -1))).sum())
            found += int(hit.sum())
        if could >= 2 and found < _LEAST_MATCHED * could:
            raise DataError(
                f"{what} finds a value for {found} of the {could} rows whose series reaches back that far",
                value=gap,
                hint="The times are not evenly spaced: round them to a grid (dt.truncate), sum up what falls together, "
                "or use windows= in place of lags=.",
            )
        return out

    def mean(self, after: pl.Series, until: pl.Series) -> NDArray[np.float64]:
        """The mean of the values after one moment and not after another."""
        begins, ends, out = _physical(after), _physical(until), np.full(len(self._code), np.nan)
        for rows, where, _ in self._rows():
            times, values = self._time[where], self._value[where]
            if not len(values):
                continue
            middle = float(values.mean())  # sums of what is left keep more digits
            sums = np.concatenate([[0.0], np.cumsum(values - middle)])
            low = np.searchsorted(times, begins[rows], side="right")
            high = np.searchsorted(times, ends[rows], side="right")
            many = high - low
            safe = np.maximum(many, 1)
            out[rows] = np.where(many > 0, (sums[high] - sums[low]) / safe + middle, np.nan)
        return out


def _each(gaps: Gap | Sequence[Gap]) -> tuple[Gap, ...]:
    return (gaps,) if isinstance(gaps, str | int) else tuple(gaps)


def _physical(moments: pl.Series) -> NDArray[np.int64]:
    return moments.to_physical().cast(pl.Int64).to_numpy()


def _moved(frame: pl.DataFrame, time: str, *gaps: Gap) -> pl.Series:
    """Each row's time less the gaps."""
    moment = pl.col(time)
    for gap in gaps:
        moment = moment.cast(pl.Int64) - gap if isinstance(gap, int) else moment.dt.offset_by(f"-{gap}")
    return frame.select(moment.alias("moment"))["moment"]


def _seasons(frame: pl.DataFrame, time: str, season: Gap, known: pl.Series) -> pl.Series:
    """Each row's time less as few seasons as lead to a moment that is known."""
    moments = _moved(frame, time, season)
    late = moments > known
    back = 1
    while late.any():
        back += 1
        if back > _SEASONS:
            raise UsageError("the season is far shorter than the horizon", value=season, hint="Is it the right unit?")
        further = _moved(frame, time, season * back if isinstance(season, int) else _times(season, back))
        moments = further.zip_with(late, moments)
        late = moments > known
    return moments


def _times(gap: str, many: int) -> str:
    """A gap so many times: ``"1mo"`` three times is ``"3mo"``, which is not three steps of its own length.

    >>> _times("1d12h", 2)
    '2d24h'
    """
    return re.sub(r"\d+", lambda found: str(int(found[0]) * many), gap)


def _require_gap(gap: Any, time: pl.DataType) -> None:
    if time.is_integer():
        if isinstance(gap, int) and not isinstance(gap, bool) and gap > 0:
            return
        raise UsageError("times are whole numbers, and this gap is none", value=gap, hint="Write a number such as 7.")
    if not isinstance(gap, str) or not _GAP.fullmatch(gap):
        raise UsageError("not a length of time", value=gap, hint='Write "7d", "1w", "1mo" or "1h30m".')
    if time == pl.Date and re.search(r"\d(?:h|m(?!o)|s)", gap):
        raise UsageError(
            "times are dates, and this gap is less than a day long", value=gap, hint="Use days, or cast to Datetime."
        )


def _check(frame: pl.DataFrame, target: str, time: str, keys: tuple[str, ...]) -> None:
    kind = frame.schema[time]
    if not (kind.is_integer() or kind == pl.Date or isinstance(kind, pl.Datetime)):
        raise SchemaError(
            f"{time!r} is {physical_type(kind)}, and times are moments, dates or whole numbers",
            value=time,
            hint="Parse it first, such as with pl.col(…).str.to_date().",
        )
    if not frame.schema[target].is_numeric():
        raise SchemaError(f"{target!r} is {physical_type(frame.schema[target])}, and a forecast is of a number")
    if frame[time].null_count():
        raise DataError(f"{frame[time].null_count()} rows have no time in {time!r}", hint="Leave them out.")
    if frame.schema[target].is_float() and frame[target].is_infinite().any():
        raise DataError(f"{target!r} holds infinite values", hint="Repair or leave out these rows.")
    repeated = frame.group_by([*keys, time]).len().filter(pl.col("len") > 1).sort([*keys, time])
    if repeated.height:
        raise DataError(
            f"{repeated.height} times occur more than once in a series",
            value=repeated.head(1).to_dicts(),
            hint="Name the columns that tell series apart with series=, or sum up what falls together.",
        )
