"""Who answers under one name: versions with shares of the traffic, and shadows whose answers nobody is given."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from typing import Any

from tidemill.core import clock
from tidemill.core.errors import UsageError
from tidemill.serving.gathering import Gathering
from tidemill.serving.predictor import Predictor

#: A model that takes longer for one row is scored in a thread, so that probes and other models are answered meanwhile.
SLOW_SECONDS = 0.002


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """One of the versions behind a name.

    Parameters
    ----------
    name
        What the log and the metrics call it: the alias (``champion``, ``challenger``), or ``v7``.
    predictor
        The model.
    share
        Its part of the traffic, relative to the others'; a shadow has none.
    schema
        What the log says of every answer of it, written once a segment.
    slow
        Whether it is scored in a thread.
    gathering
        Where the requests of a slow one wait that are answered together.
    """

    name: str
    predictor: Predictor
    share: float
    schema: Mapping[str, Any]
    slow: bool = False
    gathering: Gathering | None = None


def variant_of(predictor: Predictor, *, name: str | None = None, share: float = 1.0, together: int = 1) -> Variant:
    """A predictor as a variant, asked for its example to see whether it is slow.

    A slow one is asked about `together` rows of waiting requests at once, at most.
    """
    signature = predictor.signature
    called = name if name is not None else predictor.alias or ""
    schema = {
        "model": predictor.model,
        "version": predictor.version,
        "variant": called,
        # Of the version too: two versions may take the same columns.
        "digest": f"{predictor.schema_digest}-{predictor.version or 0}-{called}",
        "columns": [{"name": c.name, "type": c.type, "semantic": c.semantic} for c in signature.inputs],
        "target": signature.target,
    }
    slow = _is_slow(predictor)
    gathering = Gathering(predictor, together) if slow and together > 1 else None
    return Variant(called, predictor, share, schema, slow, gathering)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Which variant answers which request. It never changes: another traffic takes its place.

    Parameters
    ----------
    live
        The variants that answer, in the order of their declaration; at least one.
    shadows
        The variants that are asked the same, after the answer has left.
    salt
        What makes the split of this name independent of the others' splits of the same keys.

    Examples
    --------
    The same key always meets the same variant, and keeps the first one while the first one's share grows:

    >>> from types import SimpleNamespace as Model
    >>> def split(champion, challenger):
    ...     return Traffic((Variant("champion", Model(), champion, {}), Variant("challenger", Model(), challenger, {})))
    >>> keys = [f"customer-{number}" for number in range(1000)]
    >>> before = {key for key in keys if split(50, 50).choose(key).name == "champion"}
    >>> before <= {key for key in keys if split(80, 20).choose(key).name == "champion"}
    True
    """

    live: tuple[Variant, ...]
    shadows: tuple[Variant, ...] = ()
    salt: str = ""

    def __post_init__(self) -> None:
        shares = [variant.share for variant in self.live]
        if not shares or min(shares) < 0 or not sum(shares) > 0:
            raise UsageError("no variant has a share of the traffic", value=shares, hint="Give one more than 0.")

    def choose(self, key: str | None = None) -> Variant:
        """The variant for a key, always the same one; without a key, one by chance."""
        if len(self.live) == 1:
            return self.live[0]
        point = random.random() if key is None else _point(self.salt, key)
        bounds = list(accumulate(variant.share for variant in self.live))
        return next(
            (one for one, bound in zip(self.live, bounds, strict=True) if point * bounds[-1] < bound), self.live[-1]
        )


def shares_of(variants: Sequence[Variant]) -> dict[str, float]:
    """The parts of the traffic, which sum to one.

    >>> from types import SimpleNamespace as Model
    >>> shares_of([Variant("champion", Model(), 9, {}), Variant("challenger", Model(), 1, {})])
    {'champion': 0.9, 'challenger': 0.1}
    """
    total = sum(variant.share for variant in variants)
    return {variant.name: variant.share / total for variant in variants}


def _point(salt: str, key: str) -> float:
    """A number in [0, 1) that depends on nothing but the key and the name of the endpoint."""
    digest = blake2b(f"{salt}\x1f{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _is_slow(predictor: Predictor) -> bool:
    """Whether one row takes long three times in a row: once may be the machine's fault, and a quick one settles it."""
    example = [predictor.example()]
    for _ in range(3):
        started = clock.elapsed()
        predictor.answer(example)
        if clock.elapsed() - started <= SLOW_SECONDS:
            return False
    return True
