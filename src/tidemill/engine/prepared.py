"""What is known about a node once everything upstream is done: its arguments, its code and its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.core.records import Artifact
from tidemill.engine.key import Fingerprint, Key


@dataclass(frozen=True, slots=True)
class Bound:
    """The arguments of a node whose upstream is done.

    Parameters
    ----------
    arguments
        For the executor: plain values, `Stored` and `Parts`, also inside lists, tuples and dicts.
    parameters, inputs
        Digests by path (``trials``, ``models[0]``) of what was passed as a value, and of what is an artifact.
    uses
        The artifacts that are used, by name.
    saved
        Those of them that no step has made, since they were passed as values: they are not in the store yet.
    """

    arguments: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    uses: list[tuple[str, Artifact]] = field(default_factory=list)
    saved: list[Artifact] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A node whose upstream is done: its arguments, its code and its key."""

    bound: Bound
    code: Fingerprint
    key: Key

    @property
    def parts(self) -> Mapping[str, str]:
        """Everything that the key is made of, by name."""
        return {**self.code.parts, **self.key.parts}
