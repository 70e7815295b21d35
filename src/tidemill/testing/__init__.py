"""Contract suites and fakes, shipped so that people who write an integration can hold it to the same promises.

Comes in: an implementation of one of Tidemill's protocols. Goes out: nothing, or an AssertionError that names what is
broken.
"""

from __future__ import annotations

__all__: list[str] = []
