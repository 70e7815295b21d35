"""Features that a request does not bring: read by the entities that it names, before its rows are validated.

A feature store implements `OnlineStore`; `OnlineViews` is what a predictor asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tidemill.core.errors import StoreUnavailableError

Key = tuple[Any, ...]
Row = dict[str, Any]


class OnlineStore(Protocol):
    """The newest features of entities."""

    def read(self, view: str, keys: Sequence[Key]) -> Sequence[Mapping[str, Any] | None]:
        """For each key the features of a view by name, or None for an entity that is not known.

        Raises
        ------
        StoreUnavailableError
            When it does not answer.
        """
        ...


class RequestFeatures(Protocol):
    """Whatever completes the rows of a request."""

    def complete(self, rows: Sequence[Any]) -> tuple[list[Any], list[str]]:
        """The rows with the features that they lacked, and a warning for each row of what is missing all the same."""
        ...


@dataclass(frozen=True, slots=True)
class OnlineViews:
    """The feature views of a model in an online store.

    Parameters
    ----------
    store
        Where they are.
    views
        By view the columns that name the entity: ``{"carrier_delays": ("carrier",)}``.
    columns
        By view the inputs of the model that it gives: ``{"carrier_delays": ("carrier_delays__late_share_7d",)}``.
    inputs
        Every input of the model: a key that is none of them is left out of the row once it was used.
    when_down
        What becomes of rows while the store does not answer: ``"refuse"`` them, or answer with the features
        ``"missing"`` and a warning.
    """

    store: OnlineStore
    views: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, tuple[str, ...]]
    inputs: frozenset[str]
    when_down: Literal["refuse", "missing"] = "refuse"

    def complete(self, rows: Sequence[Any]) -> tuple[list[Any], list[str]]:
        """The rows with the features of their entities; what a row brings itself is kept.

        Raises
        ------
        StoreUnavailableError
            When the store does not answer, and rows without its features are to be refused.
        """
        completed = [dict(row) if isinstance(row, Mapping) else row for row in rows]
        warnings = [""] * len(rows)
        for view, names in self.views.items():
            wanting = [place for place, row in enumerate(completed) if _lacks(row, names, self.columns[view])]
            if wanting:
                keys = [tuple(completed[place][name] for name in names) for place in wanting]
                found, problem = self._read(view, keys)
                for place, features in zip(wanting, found, strict=True):
                    self._add(completed[place], view, features or {})
                    warnings[place] = problem or warnings[place]
        used = {name for names in self.views.values() for name in names} - self.inputs
        for row in completed:
            for name in used if isinstance(row, dict) else ():
                row.pop(name, None)
        return completed, warnings

    def _read(self, view: str, keys: Sequence[Key]) -> tuple[Sequence[Mapping[str, Any] | None], str]:
        """The features of keys, and what is to be said of them."""
        try:
            return self.store.read(view, keys), ""
        except StoreUnavailableError as error:
            if self.when_down == "refuse":
                raise
            return [None] * len(keys), f"the features of {view} are missing: {error.what}"

    def _add(self, row: Row, view: str, features: Mapping[str, Any]) -> None:
        for column in self.columns[view]:
            row.setdefault(column, features.get(column.removeprefix(f"{view}__")))


def _lacks(row: Any, keys: tuple[str, ...], columns: tuple[str, ...]) -> bool:
    """Whether a row names an entity and not its features."""
    if not isinstance(row, dict) or all(column in row for column in columns):
        return False
    try:
        hash(tuple(row[key] for key in keys))
    except (KeyError, TypeError):  # the validator says what is missing or wrong
        return False
    return True
