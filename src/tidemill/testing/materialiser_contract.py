"""What every materialiser must do: checks that raise AssertionError, for ours and for yours.

>>> import tempfile
>>> from tidemill.engine.materialisers.files import BytesMaterialiser
>>> from tidemill.store.artifacts import open_artifacts
>>> with tempfile.TemporaryDirectory() as folder:
...     check_values_come_back(BytesMaterialiser(), [b"tide", b"mill"], open_artifacts(folder))
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from tidemill.core.records import INLINE_LIMIT, Artifact
from tidemill.engine.materialisers import Draft, Materialiser
from tidemill.store.artifacts import ArtifactStore

__all__ = ["CHECKS"]

Equal = Callable[[Any, Any], bool]


def check_values_come_back(
    materialiser: Materialiser, values: Sequence[Any], artifacts: ArtifactStore, equal: Equal = operator.eq
) -> None:
    """What is loaded equals what was saved, from the draft as well as from the recorded artifact."""
    for value in values:
        draft = materialiser.save(value, artifacts)
        artifact = Artifact(
            "id", draft.digest, draft.type, draft.materialiser, draft.size, 1, draft.inline, draft.blob, draft.metadata
        )
        for stored in (draft, artifact):
            loaded = materialiser.load(stored, None, artifacts)
            assert equal(loaded, value), f"{loaded!r} came back instead of {value!r}"


def check_digests_identify_values(
    materialiser: Materialiser, values: Sequence[Any], artifacts: ArtifactStore, equal: Equal = operator.eq
) -> None:
    """Saving a value again, or what came back of it, gives the same digest; another value gives another."""
    drafts = [materialiser.save(value, artifacts) for value in values]
    for draft, value in zip(drafts, values, strict=True):
        assert materialiser.save(value, artifacts).digest == draft.digest, f"the digest of {value!r} changes"
        loaded = materialiser.load(draft, None, artifacts)
        assert materialiser.save(loaded, artifacts).digest == draft.digest, (
            f"the digest of {value!r} is lost on the way"
        )
    for index, draft in enumerate(drafts):
        for other, value in zip(drafts[:index], values, strict=False):
            same = equal(value, values[index])
            assert same or other.digest != draft.digest, f"{value!r} and {values[index]!r} have one digest"


def check_drafts_are_recordable(
    materialiser: Materialiser, values: Sequence[Any], artifacts: ArtifactStore, equal: Equal = operator.eq
) -> None:
    """A draft has text or a blob and not both, keeps large text out of the database, and says its true size."""
    del equal
    for value in values:
        draft = materialiser.save(value, artifacts)
        assert isinstance(draft, Draft)
        assert len(draft.digest) == 64
        assert int(draft.digest, 16) >= 0
        assert (draft.inline is None) != (draft.blob is None), f"{draft} needs text or a blob, and not both"
        if draft.inline is not None:
            assert draft.size == len(draft.inline.encode()) <= INLINE_LIMIT
        if draft.blob is not None:
            assert draft.size == artifacts.size(draft.blob)


def check_a_save_makes_at_most_one_blob(
    materialiser: Materialiser, values: Sequence[Any], artifacts: ArtifactStore, equal: Equal = operator.eq
) -> None:
    """Two thousand steps do not make ten thousand files."""
    del equal
    for value in values:
        before = {info.digest for info in artifacts.blobs()}
        materialiser.save(value, artifacts)
        assert len({info.digest for info in artifacts.blobs()} - before) <= 1


#: Each takes the materialiser, a few values that differ, an empty artifact store, and what equal means.
CHECKS: tuple[Callable[[Materialiser, Sequence[Any], ArtifactStore, Equal], None], ...] = (
    check_values_come_back,
    check_digests_identify_values,
    check_drafts_are_recordable,
    check_a_save_makes_at_most_one_blob,
)
