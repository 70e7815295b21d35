"""The documentation names what exists and nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tidemill.cli.table import COMMANDS
from tidemill.core import errors

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_exists(page):
    named = set(re.findall(r"(?:^\$ |`)tidemill ([a-z][a-z-]*)", page.read_text(), re.MULTILINE))
    assert named <= set(COMMANDS), f"{page.name} names commands that do not exist"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(page):
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text())
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_every_command_is_in_the_reference():
    text = (ROOT / "docs/reference/cli.md").read_text()
    assert not [name for name in COMMANDS if f"`tidemill {name}" not in text]


def test_every_dependency_is_justified():
    text = (ROOT / "docs/explanation/dependencies.md").read_text()
    extras = PROJECT["project"]["optional-dependencies"]
    required = [*PROJECT["project"]["dependencies"], *(name for extra in extras.values() for name in extra)]
    names = {re.split(r"[\[<>=;]", name)[0] for name in required} - {"tidemill"}
    assert not [name for name in sorted(names) if f"`{name}`" not in text]
    assert not [extra for extra in extras if f"`[{extra}]`" not in text]


def test_every_exit_code_is_in_the_reference():
    text = (ROOT / "docs/reference/cli.md").read_text()
    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TidemillError)
    }
    assert not [code for code in codes if f"| {code} |" not in text]


def test_the_changelog_has_this_version():
    assert f"## {PROJECT['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()
