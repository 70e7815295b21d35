"""The doctor sees what is wrong and says what to do."""

from __future__ import annotations


def test_a_healthy_project_passes(small):
    small("run")
    done = small("doctor")
    assert "✓ pipelines  train" in done.out
    assert "✓ store" in done.out
    assert small.json("doctor")["status"] == "succeeded"


def test_settings_say_where_each_came_from_and_hide_secrets(small):
    text = '[project]\nname = "small"\nstore = "sqlite:///${env:WHERE}/store.db"\n'
    (small.folder / "tidemill.toml").write_text(text)
    line = small.json("doctor", "--settings", WHERE="hidden-place", TIDEMILL_ARTIFACTS="elsewhere")
    settings = {setting["name"]: setting for setting in line["settings"]}
    assert settings["name"]["origin"] == "tidemill.toml"
    assert settings["store"]["value"] == "sqlite:///${env:WHERE}/store.db"
    assert settings["artifacts"]["origin"] == "environment TIDEMILL_ARTIFACTS"
    assert settings["threads"]["origin"] == "default"
    out = small("doctor", "--settings", WHERE="hidden-place").out
    assert "${env:WHERE}" in out
    assert "hidden-place" not in out


def test_a_missing_package_names_the_extra_to_install(small):
    # What is missing is simulated at the start of the process: the package's metadata and module cannot be found.
    site = small.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import importlib.metadata as m, importlib.util as u\n"
        "version, find = m.version, u.find_spec\n"
        "def gone(name):\n    if name == 'optuna':\n        raise m.PackageNotFoundError(name)\n"
        "    return version(name)\n"
        "m.version = gone\n"
        "u.find_spec = lambda name, package=None: None if name == 'optuna' else find(name, package)\n"
    )
    done = small("doctor", PYTHONPATH=str(site))
    assert 'lacks optuna: pip install "tidemill[ml]"' in done.out
    assert small.json("doctor", PYTHONPATH=str(site))["extras"]["ml"] == ["optuna"]


def test_what_is_broken_is_one_check_and_the_others_go_on(small):
    small.write(wrong="1 / 0  # of tidemill\n")
    done = small("doctor", expect=1)
    assert "✗ modules" in done.out
    assert "wrong.py, line 1: ZeroDivisionError" in done.out
    (small.folder / "tidemill.toml").write_text("[project\n")
    line = small("doctor", "--settings", "--json", expect=1).summary
    assert (line["status"], line["settings"]) == ("failed", None)
