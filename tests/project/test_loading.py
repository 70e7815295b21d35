"""A setting that is misspelt and silently ignored costs a day; every one is found, typed and explained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tidemill.core.errors import ConfigError
from tidemill.project import current_project, find_project, load_project, open_project_store, use_project
from tidemill.store import runs

TOML = """
[project]
name = "flight-delay"

[canvas]
decisions = "Re-plan the gates"

[requirements.ranking]
metric = "roc_auc"
at_least = 0.65

[sources.flights]
uri = "data/flights.csv"
options = { separator = ";" }

[profiles.production.project]
store = "postgresql://team:${env:DB_PASSWORD}@db/tidemill"

[profiles.production.sources.flights]
uri = "s3://bucket/flights.parquet"
"""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("NAME", "STORE", "ARTIFACTS", "MODULES", "THREADS", "PROFILE"):
        monkeypatch.delenv(f"TIDEMILL_{name}", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tidemill.toml").write_text(TOML)
    return tmp_path


def test_it_is_found_from_a_folder_below(folder):
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    assert find_project(below) == folder / "tidemill.toml"


def test_a_folder_without_a_file_is_a_project_with_defaults(tmp_path):
    project = load_project(tmp_path)
    assert project.name == tmp_path.name
    assert project.file is None
    assert project.store == f"sqlite:///{tmp_path}/.tidemill/store.db"
    assert project.artifacts == str(tmp_path / ".tidemill/artifacts")


def test_a_flag_beats_the_environment_beats_the_profile_beats_the_file(folder, monkeypatch):
    origins = []
    (folder / "tidemill.toml").write_text(TOML.replace('name = "flight-delay"', 'artifacts = "file"'))
    origins.append(load_project(folder).settings["artifacts"])
    text = TOML.replace('name = "flight-delay"', 'artifacts = "file"') + 'artifacts = "profile"\n'
    text = text.replace("[profiles.production.project]", "[profiles.production.project]\nartifacts = 'profile'")
    (folder / "tidemill.toml").write_text(text.rpartition("artifacts")[0])
    origins.append(load_project(folder, "production").settings["artifacts"])
    monkeypatch.setenv("TIDEMILL_ARTIFACTS", "environment")
    origins.append(load_project(folder, "production").settings["artifacts"])
    origins.append(load_project(folder, "production", {"artifacts": "flag"}).settings["artifacts"])
    assert [(setting.value, setting.origin) for setting in origins] == [
        ("file", "tidemill.toml"),
        ("profile", "profile production"),
        ("environment", "environment TIDEMILL_ARTIFACTS"),
        ("flag", "flag"),
    ]


def test_a_profile_changes_the_keys_it_names_and_keeps_the_others(folder):
    source = load_project(folder, "production").sources["flights"]
    assert source == {"uri": "s3://bucket/flights.parquet", "options": {"separator": ";"}}
    assert load_project(folder).sources["flights"]["uri"] == "data/flights.csv"


def test_the_profile_can_come_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv("TIDEMILL_PROFILE", "production")
    assert load_project(folder).profile == "production"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[canvas]", "[canvass]"), r"unknown key, line 5: 'canvass'\. Did you mean 'canvas'\?"),
        (('name = "', 'nmae = "'), r"unknown key, line 3: 'project\.nmae'\. Did you mean 'name'\?"),
        (('name = "flight-delay"', "name = 5"), r"'name' \(from tidemill\.toml\) must be text: 5"),
        (("[requirements.ranking]", "[requirements]\nranking = 3\n[x]"), "unknown key|must be a table"),
        (('"flight-delay"', '"flight-delay'), r"not valid TOML: .*line 3"),
        (("at_least = 0.65", ""), r"\[requirements\.ranking\] in tidemill\.toml, line 8 needs at_least or at_most"),
        (("at_least = 0.65", "at_least = 'high'"), r"needs at_least or at_most with a number"),
        (('metric = "roc_auc"', ""), r"\[requirements\.ranking\] .* names no metric"),
        (('uri = "data/flights.csv"', ""), r"\[sources\.flights\] in tidemill\.toml, line 12 says not where"),
        (("[profiles.production.project]", "[profiles.production.projects]"), r"line 16.*Did you mean 'project'"),
        (('name = "flight-delay"', "modules = [1]"), r"'modules' .* must be a list of names"),
        (('name = "flight-delay"', "threads = -1"), r"'threads' .* whole number of zero or more"),
    ],
)
def test_a_mistake_is_named_with_its_line(folder, change, message):
    (folder / "tidemill.toml").write_text(TOML.replace(*change))
    with pytest.raises(ConfigError, match=message):
        load_project(folder)


def test_an_unknown_profile_suggests_the_nearest(folder):
    with pytest.raises(ConfigError, match="Did you mean 'production'"):
        load_project(folder, "prodction")


def test_an_unknown_flag_suggests_the_nearest(folder):
    with pytest.raises(ConfigError, match="Did you mean 'store'"):
        load_project(folder, overrides={"stor": "x"})


def test_the_current_project_is_the_one_in_use(folder, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(other)
    with use_project(load_project(folder)):
        assert current_project().name == "flight-delay"
    assert current_project().root == other


def test_its_store_is_opened_once_and_hidden_from_git(folder):
    project = load_project(folder)
    with open_project_store(project) as store:
        assert open_project_store(load_project(folder)) is store
    assert (folder / ".tidemill" / ".gitignore").read_text() == "*\n"
    assert (folder / ".tidemill" / "store.db").exists()


def test_a_misspelt_variable_is_not_ignored_in_silence(folder, monkeypatch):
    monkeypatch.setenv("TIDEMILL_STOER", "sqlite:///x.db")
    with pytest.raises(ConfigError, match="Did you mean TIDEMILL_STORE"):
        load_project(folder)


def test_a_variable_of_somebody_else_is_left_alone(folder, monkeypatch):
    monkeypatch.setenv("TIDEMILL_TEST_VALUE", "1")
    monkeypatch.setenv("TIDEMILL_THREADS", "4")
    assert load_project(folder).settings["threads"].value == 4


def test_a_store_that_was_deleted_is_made_again(folder):
    project = load_project(folder)
    open_project_store(project).close()
    shutil.rmtree(folder / ".tidemill")
    with open_project_store(project) as store, store.metadata.reading() as tx:
        assert runs.list_runs(tx) == []


def test_a_folder_with_a_space_or_percent_sign_can_hold_a_store(tmp_path):
    folder = tmp_path / "my mill 50%20"
    folder.mkdir()
    with open_project_store(load_project(folder)):
        assert (folder / ".tidemill" / "store.db").exists()


def test_the_file_is_kept_as_written(folder):
    project = load_project(folder, "production")
    assert project.raw["sources"]["flights"]["uri"] == "data/flights.csv"
    assert "profiles" in project.raw
