"""The pages are handed out with what keeps a browser safe, and tell nothing to who has no key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rest_client import Client

from tidemill.packaging.package import Package
from tidemill.serving.endpoint import Endpoint
from tidemill.serving.options import ServerOptions
from tidemill.serving.predictor import Predictor
from tidemill.serving.repository import Repository
from tidemill.serving.rest.app import App
from tidemill.serving.rest.form import pages

FILES = Path(pages.__file__).parent
PARTS = sorted(file.name for file in FILES.iterdir() if file.suffix in (".css", ".js", ".svg"))
KEY = "a-key-of-sixteen-characters"


@pytest.fixture
def client(packaged: Package, tmp_path: Path) -> Iterator[Client]:
    endpoint = Endpoint.of(Predictor(packaged), None)
    yield Client(App(Repository.of(endpoint)), tmp_path)
    endpoint.close()


@pytest.fixture
def locked(packaged: Package, tmp_path: Path) -> Iterator[Client]:
    endpoint = Endpoint.of(Predictor(packaged), None)
    yield Client(App(Repository.of(endpoint), ServerOptions(keys=(KEY,))), tmp_path)
    endpoint.close()


@pytest.mark.parametrize("path", ["/", "/models/flight-delay", *(f"/form/{name}" for name in PARTS)])
def test_every_page_and_part_has_a_strict_policy(client: Client, path: str) -> None:
    response = client("GET", path)
    assert response.status_code == 200
    assert response.headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["pages.py", "__init__.py", "models.html", "nothing.js", "..%2Fapp.py", "%2e%2e"])
def test_nothing_but_the_parts_of_pages_is_handed_out(client: Client, name: str) -> None:
    assert client("GET", f"/form/{name}").status_code == 404


def test_pages_hold_no_inline_script_style_or_foreign_address() -> None:
    unsafe = r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|https?://|innerHTML|outerHTML"
    for file in [*FILES.glob("*.html"), *FILES.glob("*.js"), *FILES.glob("*.css")]:
        assert not re.search(unsafe, file.read_text(encoding="utf-8")), file


def test_an_unknown_model_is_404_for_who_may_know(client: Client, locked: Client) -> None:
    assert client("GET", "/models/weather").status_code == 404
    known, unknown = locked("GET", "/models/flight-delay"), locked("GET", "/models/weather")
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (200, known.content)
    assert b"flight" not in known.content
    assert locked("GET", "/v1/models/flight-delay").status_code == 401
    assert (
        locked("GET", "/v1/models/flight-delay", headers={"x-api-key": KEY}).json()["policy"]["out_of_range"] == "warn"
    )
