"""The key of a node, and the earlier execution that can stand in for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.core.errors import NotFoundError
from tidemill.core.records import Artifact, Execution
from tidemill.engine.arguments import bind
from tidemill.engine.graph import Node
from tidemill.engine.key import Fingerprint, explain, fingerprint, key_of, value_digest
from tidemill.engine.logged import LOGGED
from tidemill.engine.prepared import Prepared
from tidemill.engine.step import Step
from tidemill.store import Store, executions, lineage
from tidemill.store.database import Transaction


@dataclass(frozen=True, slots=True)
class Hit:
    """An earlier execution, its outputs by name, and what it recorded about itself."""

    execution: Execution
    outputs: Mapping[str, Artifact]
    logged: Artifact | None = None


class Cache:
    """Keys and look-ups for one run.

    Parameters
    ----------
    store
        Where earlier executions are.
    root
        The project's folder: code below it is part of the keys.
    finished
        Executions of the run that is being resumed, by node: its effects and uncacheable steps are not repeated.
    use
        Whether earlier runs are looked at; without, only `finished` is.
    within
        The pipeline's body, in whose module expressions among the arguments were written.
    stand_ins
        In a run that repeats another one: what that one read and did to the world, by node.
    """

    def __init__(
        self,
        store: Store,
        root: Path,
        finished: Mapping[str, Execution] | None = None,
        *,
        use: bool = True,
        within: Callable[..., Any] | None = None,
        stand_ins: Mapping[str, Hit] | None = None,
    ) -> None:
        self._store = store
        self._root = root
        self._finished = finished or {}
        self._use = use
        self._within = within
        self._stand_ins = stand_ins
        self._codes: dict[Step[..., Any], Fingerprint] = {}

    def prepare(self, node: Node) -> Prepared:
        """Digest the arguments of a node whose upstream is done, and make its key."""
        step = node.step
        bound = bind(node.arguments, step.hints, self._store.artifacts, self._digest_code)
        code = self.code(step)
        key = key_of(code, bound.parameters, bound.inputs, _environment(step), step.options.version)
        return Prepared(bound, code, key)

    def code(self, step: Step[..., Any]) -> Fingerprint:
        """The fingerprint of a step; a run looks at each step once.

        What is never cached may refer to what nobody can digest, such as an open connection.
        """
        found = self._codes.get(step)
        if found is None:
            strict = step.options.cache and not step.options.effect
            found = self._codes[step] = fingerprint(step.function, self._root, strict=strict)
        return found

    def has_stand_in(self, step: Step[..., Any]) -> bool:
        """Whether a step is not done again, since the run repeats another: it reads a source, or is an effect."""
        return self._stand_ins is not None and (step.options.effect or step.stage == "read")

    def find(self, node: Node, prepared: Prepared) -> Hit | None:
        """The execution to reuse, if there is one and its blobs are still there.

        Raises
        ------
        NotFoundError
            When what should stand in for the node is not there.
        """
        if self.has_stand_in(node.step):
            return self._stand_in(node)
        hit = self._from_resumed(node, prepared)
        options = node.step.options
        if hit is None and self._use and options.cache and not options.effect:
            with self._store.metadata.reading() as tx:
                found = executions.find_cached(tx, prepared.key.digest)
            hit = None if found is None else _hit(*found)
        if hit is None or not self._is_whole(node, hit):
            return None
        return hit

    def why(self, tx: Transaction, project: str, pipeline: str, node: Node, prepared: Prepared) -> list[str]:
        """Why the node is not in the cache, against the latest execution of the same node."""
        latest = executions.latest(tx, project, pipeline, node.name)
        if latest is None:
            return explain(None, prepared.parts)
        code = executions.get_fingerprint(tx, latest.code) or {}
        return explain({**code, **latest.key_parts}, prepared.parts)

    def _digest_code(self, value: object) -> str:
        return value_digest(value, self._root, within=self._within)

    def _stand_in(self, node: Node) -> Hit:
        hit = (self._stand_ins or {}).get(node.name)
        if hit is None or not self._is_whole(node, hit):
            raise NotFoundError(
                f"what step {node.name!r} gave in the run to repeat is not stored",
                hint="It was deleted, or the pipeline's body takes another way than it did then.",
            )
        return hit

    def _from_resumed(self, node: Node, prepared: Prepared) -> Hit | None:
        earlier = self._finished.get(node.name)
        if earlier is None or earlier.code != prepared.code.digest:
            return None
        if dict(earlier.key_parts) != dict(prepared.key.parts):
            return None
        with self._store.metadata.reading() as tx:
            return _hit(earlier, lineage.outputs(tx, earlier.id))

    def _is_whole(self, node: Node, hit: Hit) -> bool:
        expected = ("output",) if node.parts is None else tuple(node.parts)
        if set(hit.outputs) != set(expected):
            return False
        blobs = [artifact.blob for artifact in hit.outputs.values() if artifact.blob is not None]
        return all(self._store.artifacts.exists(blob) for blob in blobs)


def _hit(execution: Execution, named: Sequence[tuple[str, Artifact]]) -> Hit:
    outputs = dict(named)
    logged = outputs.pop(LOGGED, None)
    return Hit(execution, outputs, logged)


def _environment(step: Step[..., Any]) -> Mapping[str, str]:
    return {name: os.environ.get(name, "") for name in step.options.env}
