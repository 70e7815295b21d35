"""What a materialiser makes of a value, and what a materialiser is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tidemill.core.records import Artifact
from tidemill.store.artifacts import ArtifactStore


@dataclass(frozen=True, slots=True)
class Draft:
    """An artifact without identifier and time: a value that is stored, but not yet recorded.

    Parameters
    ----------
    digest
        Identifies the value, whatever bytes hold it.
    type
        What kind of thing it is: ``"json"``, ``"record"``, ``"table"``, ``"numpy"``, ``"figure"``, ``"file"``,
        ``"folder"``, ``"bytes"``, or a registered one.
    materialiser
        Who stored it, as ``"module:name"``.
    size
        Bytes stored, inline or in the blob.
    inline, blob
        The JSON text, or the digest of the blob: exactly one of the two.
    metadata
        What is worth knowing without loading it: rows, columns, schema, shape, name.
    """

    digest: str
    type: str
    materialiser: str
    size: int
    inline: str | None = None
    blob: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Materialiser(Protocol):
    """Stores values of some types and reads them back; registered by name and made without arguments, once.

    See Also
    --------
    tidemill.engine.materialisers.register : how a type finds its materialiser.
    tidemill.testing.materialiser_contract : the suite that a materialiser must pass.
    """

    type: str

    def save(self, value: Any, artifacts: ArtifactStore) -> Draft:
        """Store a value; equal values give equal digests. At most one blob."""
        ...

    def load(self, artifact: Artifact | Draft, annotation: Any, artifacts: ArtifactStore) -> Any:
        """Read the value back, in the form that the annotation asks for where there are several."""
        ...
