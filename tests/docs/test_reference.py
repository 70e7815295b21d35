"""The pages that list things list what there is: the reference every public name, the site every page."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import tidemill

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

pytestmark = pytest.mark.fast


def test_the_reference_is_what_the_docstrings_say():
    script = runpy.run_path(str(ROOT / "scripts" / "reference.py"))
    stale = "docs/reference/python.md is stale: run python scripts/reference.py"
    assert (DOCS / "reference" / "python.md").read_text() == script["page"](), stale


def test_the_reference_has_every_public_name_once():
    named = re.findall(r"^### `(\w+)`$", (DOCS / "reference" / "python.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(tidemill.__all__)


def test_the_site_has_every_page_once():
    listed = re.findall(r"^\s+- (?:[^:\n]+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def test_the_front_page_leads_to_every_guide():
    targets = re.findall(r"\]\(([^)#]+\.md)\)", (DOCS / "index.md").read_text())
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"}
    assert pages <= set(targets)


def test_links_to_the_source_are_plain_text_on_the_site():
    hook = runpy.run_path(str(ROOT / "scripts" / "site_links.py"))
    assert hook["on_page_markdown"]("See [`a.b`](../../src/a/b.py), [c](c.md).", page=None) == "See `a.b`, [c](c.md)."
