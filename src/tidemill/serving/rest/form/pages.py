"""The pages of the web form: the same bytes for everybody, which ask the API for what they show, with the user's key.

So they need no key themselves, and nothing is ever written into HTML here: a name or a category, whatever it holds, is
set as text by the scripts.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tidemill.core.errors import NotFoundError
from tidemill.serving.rest.wire import Refusal, Request, Response
from tidemill.serving.site import Site

_HERE = Path(__file__).parent
_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_POLICY = b"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
)


async def home(site: Site, request: Request) -> Response:
    """The list of models."""
    del site, request
    return _file("models.html")


async def page(site: Site, request: Request) -> Response:
    """The form of one model; where keys are asked for, only who has one is told whether there is such a model."""
    secret = bool(site.options.keys or site.options.admin_keys)
    known = secret or request.given["name"] in site.repository.endpoints
    return _file("model.html", 200 if known else 404)


async def asset(site: Site, request: Request) -> Response:
    """A script, a style or a picture of the pages."""
    del site
    name = request.given["file"]
    if name not in assets():
        raise Refusal(404, NotFoundError("there is nothing at this path", value=name))
    return _file(name)


def _file(name: str, status: int = 200) -> Response:
    return Response(status, _read(name), _TYPES[Path(name).suffix], _HEADERS)


@cache
def assets() -> tuple[str, ...]:
    """The names of the scripts, styles and pictures."""
    return tuple(sorted(file.name for file in _HERE.iterdir() if file.suffix in (".css", ".js", ".svg")))


@cache
def _read(name: str) -> bytes:
    return (_HERE / name).read_bytes()
