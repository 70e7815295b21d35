"""A password in a log is a password lost."""

from __future__ import annotations

import pytest

from tidemill.core.errors import ConfigError
from tidemill.project import load_project, redact, reveal, reveal_all


def test_secrets_are_read_when_they_are_used(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("s3cret\n")
    monkeypatch.setenv("DB_USER", "ann")
    raw = {"url": "pg://${env:DB_USER}:${file:token}@db", "n": 3, "list": ["${env:DB_USER}"]}
    assert reveal_all(raw, root=tmp_path) == {"url": "pg://ann:s3cret@db", "n": 3, "list": ["ann"]}


def test_a_missing_one_is_named_and_its_value_is_not_guessed(tmp_path, monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(ConfigError, match="variable NOT_SET is not set"):
        reveal("${env:NOT_SET}", root=tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be read.*no-such-file"):
        reveal("${file:no-such-file}", root=tmp_path)


def test_settings_show_the_reference_and_not_the_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "s3cret")
    monkeypatch.delenv("TIDEMILL_STORE", raising=False)
    (tmp_path / "tidemill.toml").write_text('[project]\nstore = "postgresql://ann:${env:DB_PASSWORD}@db/x"\n')
    project = load_project(tmp_path)
    assert project.store == "postgresql://ann:s3cret@db/x"
    assert "s3cret" not in repr(project)
    assert project.settings["store"].value == "postgresql://ann:${env:DB_PASSWORD}@db/x"


def test_a_secret_that_was_read_is_redacted_wherever_it_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "p@ss word")
    url = reveal("postgresql://bob:${env:DB_PASSWORD}@db/x", root=tmp_path)
    assert redact(f"no answer from {url}") == "no answer from postgresql://bob:${env:DB_PASSWORD}@db/x"
    assert redact("postgresql://bob:p%40ss%20word@db") == "postgresql://bob:${env:DB_PASSWORD}@db"


@pytest.mark.parametrize("text", ["${DB_PASSWORD}", "${env:}", "x${vault:a}", "${env:A"])
def test_a_malformed_reference_is_not_taken_for_a_password(tmp_path, text):
    with pytest.raises(ConfigError, match=r"Write \$\{env:NAME\}"):
        reveal(text, root=tmp_path)
