"""Feature views: features of an entity, computed from events, the same way offline and online."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.core.errors import UsageError
from tidemill.features.aggregations import Aggregation


@dataclass(frozen=True, slots=True, eq=False)
class FeatureView:
    """Features of an entity from a table of events.

    Parameters
    ----------
    name
        Prefix of its columns in a training set: ``NAME__FEATURE``.
    source
        Where the events come from: the name of a source, or a step that makes them.
    entity
        The column (or columns) that an event and a row to predict have in common; empty for features of everything.
    event_time
        When an event happened: windows are measured from it.
    features
        The aggregations by name.
    available_at
        When an event is known; `event_time` if left out. An event counts only from then on.
    description
        One sentence for people.

    Examples
    --------
    >>> from tidemill.features.aggregations import count, mean
    >>> view = FeatureView(
    ...     "carrier_delays",
    ...     source="arrivals",
    ...     entity="carrier",
    ...     event_time="arrived_at",
    ...     features={"late_share_7d": mean("late", over="7d"), "flights_1d": count(over="1d")},
    ... )
    >>> view.columns
    ('carrier_delays__late_share_7d', 'carrier_delays__flights_1d')
    """

    name: str
    source: Any
    entity: str | tuple[str, ...]
    event_time: str
    features: Mapping[str, Aggregation]
    available_at: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if not self.features:
            raise UsageError(
                f"feature view {self.name!r} has no features", hint='Add some: {"n_1d": count(over="1d")}.'
            )
        for name, aggregation in self.features.items():
            if not isinstance(aggregation, Aggregation):
                raise UsageError(
                    f"feature {name!r} of view {self.name!r} is not an aggregation",
                    value=aggregation,
                    hint='Write count(over="1d"), mean("column", over="7d"), ….',
                )

    @property
    def keys(self) -> tuple[str, ...]:
        """The entity columns."""
        return (self.entity,) if isinstance(self.entity, str) else tuple(self.entity)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it adds to a training set."""
        return tuple(f"{self.name}__{feature}" for feature in self.features)

    @property
    def definition(self) -> ViewDefinition:
        """What is computed, without where the events come from: a plain record that can be part of a key."""
        return ViewDefinition(self.name, self.keys, self.event_time, dict(self.features), self.available_at)


@dataclass(frozen=True, slots=True)
class ViewDefinition:
    """What a feature view computes."""

    name: str
    keys: tuple[str, ...]
    event_time: str
    features: Mapping[str, Aggregation]
    available_at: str | None = None
