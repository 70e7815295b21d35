"""Storing a value and reading it back: the way in to all materialisers."""

from __future__ import annotations

from typing import Any

from tidemill.core.digests import digest_value
from tidemill.core.errors import MaterialiserError, UsageError
from tidemill.core.records import Artifact
from tidemill.engine.materialisers.draft import Draft
from tidemill.engine.materialisers.plain import NAME as PLAIN
from tidemill.engine.materialisers.plain import decode, encode, scalar_draft
from tidemill.engine.materialisers.registry import materialiser, name_for
from tidemill.store.artifacts import ArtifactStore


def save(value: object, annotation: Any, artifacts: ArtifactStore) -> Draft:
    """Store a value.

    Parameters
    ----------
    value
        What a step returned, or an input from outside.
    annotation
        What it was declared to be; it decides where a registered type is declared and the value is one by an abstract
        base class. ``None`` or ``Any`` leave it to the value.
    artifacts
        Where larger values go.

    Returns
    -------
    Draft
        What to record.

    Raises
    ------
    MaterialiserError
        Nothing is registered for the type, or the value is not what its materialiser stores. Values are never pickled.
    """
    scalar = scalar_draft(value)
    if scalar is not None:
        return scalar
    name = _declared(value, annotation) or name_for(type(value))
    if name is None:
        raise _unknown(value)
    try:
        return materialiser(name).save(value, artifacts)
    except RecursionError:
        raise MaterialiserError(
            f"a {type(value).__name__} is nested too deeply to be stored, or contains itself",
            hint="Return a table, or a flat list of what is in it.",
        ) from None


def load(artifact: Artifact | Draft, annotation: Any, artifacts: ArtifactStore) -> Any:
    """Read a value back.

    Parameters
    ----------
    artifact
        What `save` made.
    annotation
        The form that is wanted, where the type has several: a table comes as the frame it names, lazily where that is
        lazy. ``None`` or ``Any`` give the form it is stored in: a Polars frame.
    artifacts
        Where its blob is.

    Raises
    ------
    MaterialiserError
        The stored value cannot take that form, or its class or materialiser is not there.
    CorruptArtifactError
        The blob does not match its digest or is gone.
    """
    return materialiser(artifact.materialiser).load(artifact, annotation, artifacts)


def digest_of(value: object) -> str | None:
    """The digest of a plain value, the same as its draft has; None if it must be stored first.

    >>> digest_of((1, 2.5)) is not None
    True
    """
    if type(value) in _SCALARS:
        return digest_value(value)
    if name_for(type(value)) != PLAIN:
        return None
    try:
        encoded = encode(value)
    except MaterialiserError:
        return None
    try:
        return digest_value(value)
    except (UsageError, ValueError):
        return digest_value(decode(encoded))


_SCALARS = frozenset({type(None), bool, float, str})


def _declared(value: object, annotation: Any) -> str | None:
    """The materialiser of the annotation, where it is a class that the value is an instance of."""
    if annotation is None or not isinstance(annotation, type) or annotation is object:
        return None
    if annotation is type(value):
        return None
    try:
        if not isinstance(value, annotation):
            return None
    except TypeError:  # a protocol that cannot be checked
        return None
    return name_for(annotation)


def _unknown(value: object) -> MaterialiserError:
    kind = type(value)
    name = f"{kind.__module__}:{kind.__qualname__}"
    return MaterialiserError(
        f"no materialiser for {kind.__module__}.{kind.__qualname__}, and values are never pickled",
        value=value,
        hint="Return a table, an array, a file, a dataclass or plain values; or write a materialiser and call "
        f'tidemill.engine.materialisers.register("{name}", "your_module:YourMaterialiser").',
    )
