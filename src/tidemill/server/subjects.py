"""What a step was about: the name of the source that its first table comes from, read from the lineage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tidemill.core.errors import MaterialiserError, NotFoundError, StoreError
from tidemill.core.records import Artifact, Execution
from tidemill.engine.recipe import RECIPE, read_recipe
from tidemill.store import Store, executions, lineage
from tidemill.store.database import Transaction

#: The step that reads a source.
_READS = "read"


class Subjects:
    """Follows first tables back to their sources; what was found once is kept.

    Parameters
    ----------
    store
        Where the lineage is.
    tx
        A read snapshot of it.
    """

    def __init__(self, store: Store, tx: Transaction) -> None:
        self._store = store
        self._tx = tx
        self._known: dict[str, str | None] = {}

    def of(self, execution: Execution) -> str | None:
        """The name of the source behind an execution's first table; None if there is none."""
        source = execution.cached_from or execution.id
        if source not in self._known:
            self._known[source] = None  # nothing leads back to itself, but a damaged store must not hang a report
            self._known[source] = self._found(source)
        return self._known[source]

    def _found(self, execution_id: str) -> str | None:
        execution = executions.get(self._tx, execution_id)
        inputs = lineage.inputs(self._tx, execution.id)
        recipe = self._recipe(inputs)
        if execution.step == _READS:
            return name_in(recipe.get("source"))
        tables = {artifact.id for _, artifact in inputs if artifact.type == "table"}
        first = next((id_ for id_ in _ids(recipe) if id_ in tables), None)
        if first is None:
            return None
        try:
            return self.of(lineage.producer(self._tx, first))
        except NotFoundError:  # a table that was given to the run from outside
            return None

    def _recipe(self, inputs: Iterable[tuple[str, Artifact]]) -> Mapping[str, Any]:
        """The arguments in the order in which the step declares them."""
        recorded = next((artifact for name, artifact in inputs if name == RECIPE), None)
        if recorded is None:
            return {}
        try:
            return read_recipe(recorded, self._store.artifacts).arguments
        except (MaterialiserError, StoreError):
            return {}


def _ids(recipe: Any) -> Iterator[str]:
    """The ids of the artifacts in recorded arguments, in their order."""
    if isinstance(recipe, Mapping):
        for key, value in recipe.items():
            if key == "stored" and isinstance(value, str):
                yield value
            elif key == "parts" and isinstance(value, Mapping):
                yield from map(str, value.values())
            else:
                yield from _ids(value)
    elif isinstance(recipe, list | tuple):
        for item in recipe:
            yield from _ids(item)


def name_in(source: Any) -> str | None:
    """The name of a source, however deep it is wrapped.

    >>> name_in({"plain": {"source": {"name": "flights", "uri": "data/flights.csv"}}})
    'flights'
    >>> name_in({"plain": "data/flights.csv"})
    'flights'
    """
    if isinstance(source, str):
        return source.rstrip("/").rpartition("/")[2].partition(".")[0] or None
    for key in ("name", "source", "plain"):
        inner = source.get(key) if isinstance(source, dict) else getattr(source, key, None)
        if inner:
            return str(inner) if key == "name" else name_in(inner)
    return None
