"""Addresses as people may see them: without passwords, keys and tokens."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

from tidemill.project import redact

_SECRET = re.compile(r"(?i)((?:^|&|;)[^=&;]*(?:pass|secret|token|key|signature|sig|auth|credential)[^=&;]*=)[^&;]+")
_USER = re.compile(r"(://[^/@:]*):[^/]*@")


def shown(uri: str) -> str:
    """The address without its secrets.

    Examples
    --------
    >>> shown("postgresql://ann:s3cret@db/flights?sslmode=require")
    'postgresql://ann:***@db/flights?sslmode=require'
    >>> shown("https://host/data.csv?api_key=abc&page=2")
    'https://host/data.csv?api_key=***&page=2'
    """
    text = _USER.sub(r"\1:***@", redact(uri))
    if text.startswith("sc://"):  # Spark Connect has its parameters behind "/;"
        return _SECRET.sub(r"\1***", text)
    if "?" not in text or "://" not in text:
        return text
    parts = urlsplit(text)
    return urlunsplit(parts._replace(query=_SECRET.sub(r"\1***", parts.query)))
