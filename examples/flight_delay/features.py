"""What is known about delays when a flight is predicted: aggregates over flights that had left or landed by then."""

from __future__ import annotations

import tidemill as tm

#: The tables of events are made in the pipeline, by the step `flown`.
LAST_LEG = tm.FeatureView(
    "aircraft",
    source="flown",
    entity="tailnum",
    event_time="arrived_at",
    features={"last_arr_delay": tm.last("arr_delay", over="24h"), "legs_24h": tm.count(over="24h")},
    description="How late this aircraft was when it last landed",
)

AT_ORIGIN = tm.FeatureView(
    "origin",
    source="flown",
    entity="origin",
    event_time="departed_at",
    features={"dep_delay_3h": tm.mean("dep_delay", over="3h"), "departures_3h": tm.count(over="3h")},
    description="How late flights have been leaving this airport",
)

LAST_DEPARTURE = tm.FeatureView(
    "aircraft_out",
    source="flown",
    entity="tailnum",
    event_time="departed_at",
    features={"last_dep_delay": tm.last("dep_delay", over="12h")},
    description="How late this aircraft was when it last left, which is known before it lands",
)

AT_COUNTER = tm.FeatureView(
    "counter",
    source="flown",
    entity=("carrier", "origin"),
    event_time="departed_at",
    features={"dep_delay_4h": tm.mean("dep_delay", over="4h")},
    description="How late this airline has been leaving this airport",
)

AT_DEST = tm.FeatureView(
    "dest",
    source="flown",
    entity="dest",
    event_time="arrived_at",
    features={"arr_delay_6h": tm.mean("arr_delay", over="6h"), "arrivals_6h": tm.count(over="6h")},
    description="How late flights have been landing at the destination",
)

BY_CARRIER = tm.FeatureView(
    "carrier",
    source="flown",
    entity="carrier",
    event_time="arrived_at",
    features={"arr_delay_6h": tm.mean("arr_delay", over="6h"), "late_share_7d": tm.share("late", over="7d")},
    description="How the airline is doing",
)

ON_ROUTE = tm.FeatureView(
    "route",
    source="flown",
    entity=("carrier", "origin", "dest"),
    event_time="arrived_at",
    features={"late_share_30d": tm.share("late", over="30d"), "arr_delay_30d": tm.mean("arr_delay", over="30d")},
    description="How this route has been doing for a month",
)

VIEWS = (LAST_LEG, LAST_DEPARTURE, AT_ORIGIN, AT_COUNTER, AT_DEST, BY_CARRIER, ON_ROUTE)
