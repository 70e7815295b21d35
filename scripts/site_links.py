"""A hook of the documentation's site: links to the source code, which is not part of the site, become plain text."""

from __future__ import annotations

import re
from typing import Any

_TO_SOURCE = re.compile(r"\[(`[^`\]]+`)\]\((?:\.\./)+src/[^)]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page without these links.

    >>> on_page_markdown("See [`tidemill.core.ids`](../../src/tidemill/core/ids.py).")
    'See `tidemill.core.ids`.'
    """
    return _TO_SOURCE.sub(r"\1", markdown)
