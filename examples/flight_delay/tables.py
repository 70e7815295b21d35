"""What the tables must be, and how their known defects are repaired."""

from __future__ import annotations

from tidemill.data.contract import Check, ColumnRule, ForeignKey, TableContract, Unique
from tidemill.data.operations import CleaningPlan, DropColumns, FilterRows, NullOutside, ParseHhmm

#: A flight is a row of the schedule; the clock readings are checked, the keys are watched.
FLIGHTS = TableContract(
    "flights",
    columns=(
        ColumnRule("month", "int64", nullable=False, minimum=1, maximum=12),
        ColumnRule("sched_dep_time", "int64", nullable=False, minimum=0, maximum=2400),
        ColumnRule("dep_delay", "int64", minimum=-120, maximum=24 * 60),
        ColumnRule("carrier", "string", nullable=False, pattern="[0-9A-Z]{2}"),
        ColumnRule("origin", "string", nullable=False, values=("EWR", "JFK", "LGA"), severity="fail"),
        ColumnRule("distance", "int64", nullable=False, minimum=1, maximum=6000),
    ),
    unique=(Unique(("year", "month", "day", "carrier", "flight", "origin", "sched_dep_time")),),
    foreign_keys=(
        ForeignKey(("carrier",), "airlines", ("carrier",), severity="fail"),
        ForeignKey(("tailnum",), "planes", ("tailnum",)),
        ForeignKey(("dest",), "airports", ("faa",)),
    ),
    min_rows=300_000,
)

#: No wind blows at 1,048 miles an hour: such a reading is set aside.
WEATHER = TableContract(
    "weather",
    columns=(
        ColumnRule("origin", "string", nullable=False, values=("EWR", "JFK", "LGA")),
        ColumnRule("temp", "number", minimum=-40, maximum=130),
        ColumnRule("humid", "number", minimum=0, maximum=100),
        ColumnRule("wind_speed", "number", minimum=0, maximum=200),
        ColumnRule("visib", "number", minimum=0, maximum=10),
    ),
)

#: What a row to predict must be, at training and, since the model takes the contract along, in every request.
TRIPS = TableContract(
    "trips",
    columns=(
        ColumnRule("origin", "string", nullable=False, values=("EWR", "JFK", "LGA"), severity="fail"),
        ColumnRule("distance", "int64", nullable=False, minimum=1, maximum=6000, severity="fail"),
        ColumnRule("humid", "number", minimum=0, maximum=100, severity="fail"),
        ColumnRule("wind_speed", "number", minimum=0, maximum=200, severity="fail"),
    ),
    checks=(Check("it lands elsewhere", "origin <> dest", severity="fail"),),
)

#: ``sched_dep_time`` is a clock reading in New York (``515``, and at times ``2400``); from here on all times are UTC.
FLIGHTS_REPAIRS = CleaningPlan(
    (
        ParseHhmm("sched_dep_time", date=("year", "month", "day"), into="sched_dep", zone="America/New_York"),
        FilterRows("arr_delay IS NOT NULL", reason="no label: cancelled or diverted"),
    )
)

#: ``time_hour`` is UTC although ``hour`` beside it is local: only the moment is kept.
WEATHER_REPAIRS = CleaningPlan((DropColumns(("year", "month", "day", "hour")), NullOutside("wind_gust", maximum=200)))
