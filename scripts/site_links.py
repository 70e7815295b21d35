"""A hook of the site: links to source code and examples, which are no part of the documentation, become plain text."""

from __future__ import annotations

import re
from typing import Any

_TO_SOURCE = re.compile(r"\[(`[^`\]]+`)\]\((?:\.\./)+(?:src|examples)/[^)]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page without these links.

    >>> on_page_markdown("See [`tidemill.core.ids`](../../src/tidemill/core/ids.py).")
    'See `tidemill.core.ids`.'
    """
    return _TO_SOURCE.sub(r"\1", markdown)
