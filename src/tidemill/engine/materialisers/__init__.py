"""How values become artifacts and values again: a value and its annotation come in, a draft of an artifact goes out."""

from tidemill.engine.materialisers.draft import Draft, Materialiser
from tidemill.engine.materialisers.parts import assemble, inside, members, narrowed, parts, split, unstorable
from tidemill.engine.materialisers.registry import register
from tidemill.engine.materialisers.saving import digest_of, load, save

__all__ = [
    "Draft",
    "Materialiser",
    "assemble",
    "digest_of",
    "inside",
    "load",
    "members",
    "narrowed",
    "parts",
    "register",
    "save",
    "split",
    "unstorable",
]
