"""Altair charts as Vega-Lite JSON."""

from __future__ import annotations

import importlib
import json
from typing import Any

from tidemill.core.digests import digest_value
from tidemill.core.errors import MaterialiserError
from tidemill.core.records import Artifact
from tidemill.engine.materialisers.draft import Draft
from tidemill.engine.materialisers.frames import is_open
from tidemill.engine.materialisers.plain import stored_text
from tidemill.store.artifacts import ArtifactStore

NAME = "tidemill.engine.materialisers.figure:FigureMaterialiser"


class FigureMaterialiser:
    """Stores Altair charts of any kind with their data, as the Vega-Lite JSON that every viewer reads."""

    type = "figure"

    def save(self, value: Any, artifacts: ArtifactStore) -> Draft:
        """Store a chart."""
        specification = value.to_dict()
        text = json.dumps(specification, separators=(",", ":"), allow_nan=False)
        return stored_text(text, digest_value(("figure", inlined(specification))), self.type, artifacts, NAME)

    def load(self, artifact: Artifact | Draft, annotation: Any, artifacts: ArtifactStore) -> Any:
        """The chart; as a plain mapping if the annotation is ``dict``."""
        text = artifact.inline if artifact.inline is not None else artifacts.read(artifact.blob or "").decode()
        specification = json.loads(text)
        if annotation is dict:
            return specification
        altair: Any = importlib.import_module("altair")
        if not is_open(annotation) and not _is_altair(annotation):
            raise MaterialiserError(
                "a stored figure cannot be given as this type",
                value=annotation,
                hint="Annotate with altair.Chart, or with dict for its Vega-Lite JSON.",
            )
        return altair.Chart.from_dict(specification)


def inlined(specification: dict[str, Any]) -> Any:
    """The specification with named data sets written where they are used: charts differ in how they hold their data.

    >>> inlined({"data": {"name": "d"}, "datasets": {"d": [{"x": 1}]}})
    {'data': {'values': [{'x': 1}]}}
    """
    named = specification.get("datasets", {})

    def walk(part: Any) -> Any:
        if isinstance(part, list):
            return [walk(item) for item in part]
        if not isinstance(part, dict):
            return part
        data = part.get("data")
        if isinstance(data, dict) and data.get("name") in named:
            rest = {key: item for key, item in data.items() if key != "name"}
            part = {**part, "data": {**rest, "values": named[data["name"]]}}
        return {key: walk(item) for key, item in part.items()}

    return walk({key: item for key, item in specification.items() if key != "datasets"})


def _is_altair(annotation: Any) -> bool:
    return str(getattr(annotation, "__module__", "")).startswith(("altair", "typing", "types"))
