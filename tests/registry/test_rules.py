"""What `[registry]` asks for must be what its writer meant: a slip of the pen would let anybody promote anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidemill.core.errors import ConfigError, UsageError
from tidemill.project import load_project
from tidemill.registry.rules import Rules, rules_of


def test_the_most_particular_rule_counts() -> None:
    rules = rules_of(
        {
            "approvals": 1,
            "approvers": ["ada", "bo"],
            "aliases": {"challenger": 0},
            "models": {"late": {"aliases": {"champion": 2}}, "early": {"approvals": 0, "approvers": []}},
        }
    )
    assert rules.needed("any", "champion") == 1
    assert rules.needed("any", "challenger") == 0
    assert rules.needed("late", "champion") == 2
    assert rules.needed("late", "canary") == 1
    assert rules.needed("early", "challenger") == 0
    assert rules.approvers("late") == ("ada", "bo")
    assert rules.approvers("early") == ()
    assert Rules().needed("late", "champion") == 0


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"aprovals": 1}, "Did you mean 'approvals'"),
        ({"approvals": -1}, "whole number"),
        ({"approvals": True}, "whole number"),
        ({"approvals": 1.5}, "whole number"),
        ({"approvers": "ada"}, "list of names"),
        ({"approvers": [""]}, "list of names"),
        ({"approvals": 2, "approvers": ["ada"]}, "2 approvals by 1 approvers"),
        ({"aliases": {"champion": 2}, "approvers": ["ada", "ada"]}, "2 approvals by 1 approvers"),
        ({"force": "no"}, "true or false"),
        ({"models": {"late": {"webhooks": {}}}}, r"\[registry.models.late\] has an unknown key"),
        ({"models": {"late": 1}}, "should be a table"),
        ({"webhooks": {"x": {}}}, "url of .* is missing"),
        ({"webhooks": {"x": {"url": "ftp://host"}}}, "no web address"),
        ({"webhooks": {"x": {"url": "https://h", "events": ["alias.move"]}}}, "Did you mean 'alias.moved'"),
        ({"webhooks": {"x": {"url": "https://h", "timeout": 0}}}, "more than 0"),
        ({"webhooks": {"x": {"url": "https://h", "attempts": 0}}}, "at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(raw: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rules_of(raw)


def test_an_alias_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="version number"):
        rules_of({"aliases": {"v7": 1}})


def test_a_secret_that_is_written_out_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="must be a reference") as raised:
        rules_of({"webhooks": {"x": {"url": "https://h", "secret": "hunter2"}}})
    assert "hunter2" not in str(raised.value)


def test_a_profile_adds_to_the_table(tmp_path: Path) -> None:
    (tmp_path / "tidemill.toml").write_text(
        "[registry]\napprovals = 1\n[profiles.production.registry]\nforce = false\n"
    )
    assert rules_of(load_project(tmp_path).registry).may_force
    rules = rules_of(load_project(tmp_path, profile="production").registry)
    assert not rules.may_force
    assert rules.needed("any", "champion") == 1
