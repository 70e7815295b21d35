"""The records of the ground: what the store keeps. Frozen, without behaviour, times in UTC microseconds.

Four nouns and their bookkeeping: an *execution* used and produced *artifacts* (each use is an *event*), inside a run,
which stands in *contexts* (project, pipeline, release).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tidemill.core.clock import from_us

RunStatus = Literal["running", "succeeded", "failed", "cancelled", "interrupted"]
StepStatus = Literal["running", "succeeded", "cached", "failed", "skipped", "cancelled", "interrupted"]
Direction = Literal["input", "output"]
ContextKind = Literal["project", "pipeline", "release", "study", "contract"]

#: Values up to this many bytes of JSON live in the metadata store; larger ones are blobs.
INLINE_LIMIT = 64 * 1024
#: So many metrics are printed of a model version.
_LINES = 20


@dataclass(frozen=True, slots=True)
class Artifact:
    """An immutable, content-addressed value.

    `digest` identifies the *value* (for a table: schema and canonical values), `blob` the *stored bytes*; a value small
    enough to live in the metadata store has `inline` JSON text instead of a blob.
    """

    id: str
    digest: str
    type: str
    materialiser: str
    size: int
    created_at: int
    inline: str | None = None
    blob: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """Something that runs belong to: a project, a pipeline, a release, a tuning study."""

    id: str
    kind: ContextKind
    name: str
    created_at: int
    parent_id: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a pipeline, or a notebook session (`pipeline` is then ``"notebook"``)."""

    id: str
    project: str
    pipeline: str
    status: RunStatus
    started_at: int
    ended_at: int | None = None
    parent_id: str | None = None
    resumed_from: str | None = None
    user: str = ""
    host: str = ""
    commit: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a step in a run.

    Parameters
    ----------
    node
        Its place in the run: the step's name, with a suffix where the step is called more than once
        (``fit``, ``fit#2``, ``fit[3f9a…]`` for an item of a map).
    key
        The cache key, empty for effects and uncacheable steps.
    code
        Digest of the code fingerprint in the `fingerprints` table.
    key_parts
        Digests by name of everything else in the key: ``{"param:trials": …, "input:data": …, "env:TZ": …}``.
    cached_from
        The execution whose outputs were reused.
    log
        Blob digest of the captured log, if it is large; a short one is `log_text`.
    seconds, cpu_seconds, max_rss
        Wall and CPU seconds; peak memory in bytes where it is known.
    """

    id: str
    run_id: str
    step: str
    node: str
    status: StepStatus
    started_at: int
    ended_at: int | None = None
    attempt: int = 1
    key: str = ""
    code: str = ""
    key_parts: Mapping[str, str] = field(default_factory=dict)
    cached_from: str | None = None
    executor: str = "inline"
    error: str | None = None
    log_text: str = ""
    log: str | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    max_rss: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """An execution used or produced an artifact under a name."""

    execution_id: str
    artifact_id: str
    direction: Direction
    name: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured number of a run: at a step, at a time, in a context such as ``"validation"``."""

    run_id: str
    name: str
    value: float
    step: int = 0
    time: int = 0
    context: str = ""
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act for a resource until a moment of real time; `epoch` grows with each new owner (fencing)."""

    resource: str
    owner: str
    epoch: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what to what, and when."""

    id: str
    at: int
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A name in the registry: whose it is, what it is for, and the number of its newest version."""

    name: str
    created_at: int
    last_version: int
    owner: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class ModelVersion:
    """An entry in the registry: a packaged model and the record of how it earned its place.

    `stage` says where it stands in its life: ``registered``, ``staging``, ``production`` or ``archived``; `archived`
    says the last of these once more.
    """

    id: str
    model: str
    version: int
    created_at: int
    run_id: str | None
    execution_id: str | None
    package: str  # artifact id of the model folder
    stage: str = "registered"
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)
    archived: bool = False
    owner: str = ""
    registered_by: str = ""

    def __repr__(self) -> str:
        return f"ModelVersion({f'{self.model}@{self.version}'!r}, {self.stage!r}, gate {self._gate_word()})"

    def __str__(self) -> str:
        name, when = f"{self.model}@{self.version}", f"{from_us(self.created_at):%Y-%m-%d %H:%M} UTC"
        by = f" by {self.registered_by}" if self.registered_by else ""
        lines = [
            f"{name}: {self.stage}, registered{by} at {when}, run {self.run_id or '-'}",
            f"gate {self._gate_word()}",
        ]
        width = max(map(len, self.metrics), default=0)
        lines += [f"  {metric:<{width}}  {value:.4g}" for metric, value in sorted(self.metrics.items())[:_LINES]]
        if len(self.metrics) > _LINES:
            lines.append(f"  and {len(self.metrics) - _LINES} more: .metrics has them")
        return "\n".join([*lines, f"→ tidemill models card {name} tells the rest, .gate is its record"])

    def _gate_word(self) -> str:
        """What the gate said so far."""
        if "passed" not in self.gate:
            return "not run"
        promises = self.gate.get("promises", ())
        broken = [f"{one['name']} at {one['moment']}" for one in promises if one["status"] != "passed"]
        return f"not passed: {', '.join(broken)}" if broken else "passed" if promises else "without requirements"


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody's agreement to a model version.

    `alias` is the name that it may take, empty for any; `evidence` is the digest of what was agreed to: the package and
    the numbers of its gate. An approval of other evidence counts no more.
    """

    id: str
    version_id: str
    alias: str
    actor: str
    at: int
    note: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that a webhook is to be told of, and how far that is.

    `event_id` is the same at every attempt; a waiting delivery is tried at `next_at` (real time, microseconds).
    """

    id: str
    webhook: str
    event_id: str
    event: str
    at: int
    payload: Mapping[str, Any]
    status: Literal["waiting", "delivered", "dead"] = "waiting"
    attempts: int = 0
    next_at: int = 0
    error: str = ""
    delivered_at: int | None = None


@dataclass(frozen=True, slots=True)
class Alias:
    """A movable name of a model version, such as ``champion``."""

    model: str
    alias: str
    version: int
    updated_at: int
