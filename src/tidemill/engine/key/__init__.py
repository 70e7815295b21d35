"""The cache key: code, parameters and inputs of a step in, one digest and its explanation out.

The code of a step is everything that its function reaches inside the project. Nothing else of the engine is known here.
"""

from tidemill.engine.key.explanation import explain
from tidemill.engine.key.fingerprint import Fingerprint, fingerprint, value_digest
from tidemill.engine.key.keys import Key, key_of

__all__ = ["Fingerprint", "Key", "explain", "fingerprint", "key_of", "value_digest"]
