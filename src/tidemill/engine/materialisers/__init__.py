"""How values become artifacts and values again: a value and its annotation come in, a draft of an artifact goes out."""

from tidemill.engine.materialisers.draft import Draft, Materialiser
from tidemill.engine.materialisers.parts import assemble, parts, split
from tidemill.engine.materialisers.registry import register
from tidemill.engine.materialisers.saving import digest_of, load, save

__all__ = ["Draft", "Materialiser", "assemble", "digest_of", "load", "parts", "register", "save", "split"]
