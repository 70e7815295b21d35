"""The cache key of a step: its code, its parameters, its inputs, its declared environment, its version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from tidemill.engine.key.fingerprint import Fingerprint


@dataclass(frozen=True, slots=True)
class Key:
    """What a step's outputs are remembered under.

    Parameters
    ----------
    digest
        Of the code and all parts.
    parts
        Digests by name of everything but the code: ``"param:trials"``, ``"input:data"``, ``"env:TZ"``; ``"version"``
        is plain text.
    """

    digest: str
    parts: Mapping[str, str]


def key_of(
    code: Fingerprint,
    parameters: Mapping[str, str],
    inputs: Mapping[str, str],
    environment: Mapping[str, str],
    version: str = "",
) -> Key:
    """The key of one call of a step.

    Parameters
    ----------
    code
        The fingerprint of its function.
    parameters, inputs
        Digests by parameter name, of plain values and of stored artifacts.
    environment
        Values by name of the environment variables that the step declares; only their digests are kept.
    version
        The label that the step declares.

    Examples
    --------
    >>> key = key_of(Fingerprint("c0de", {}), {"trials": "5f"}, {"data": "3a"}, {}, "2")
    >>> dict(key.parts)
    {'param:trials': '5f', 'input:data': '3a', 'version': '2'}
    """
    parts = {f"param:{name}": digest for name, digest in parameters.items()}
    parts.update({f"input:{name}": digest for name, digest in inputs.items()})
    parts.update(
        {
            f"env:{name}": sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
            for name, value in environment.items()
        }
    )
    if version:
        parts["version"] = version
    text = "\0".join(f"{name}\0{parts[name]}" for name in sorted(parts))
    return Key(sha256(f"{code.digest}\0{text}".encode("utf-8", "surrogateescape")).hexdigest(), parts)
