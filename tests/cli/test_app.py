"""The first minute with a tool is its help page and its error messages."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tidemill.cli.app import cli
from tidemill.cli.table import COMMANDS


def test_help_lists_every_command_without_loading_a_stage(tidemill):
    done = tidemill("--help")
    for name, entry in COMMANDS.items():
        assert f"  {name} " in done.out
        assert entry.help in done.out
    code = (
        "import sys\nfrom tidemill.cli.app import cli\n"
        "try: cli.main(['--help'], standalone_mode=False)\nexcept SystemExit: pass\n"
        "print('LOADED', *sorted(m for m in sys.modules if not m.startswith('_')))"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.partition(".")[0] for name in listed.partition("LOADED ")[2].split()}
    third_party = loaded - set(sys.stdlib_module_names)
    assert third_party == {"tidemill", "click"}
    assert "tidemill.store" not in listed
    assert "tidemill.engine" not in listed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(tidemill, name):
    done = tidemill(name, "--help")
    assert f"Usage: tidemill {name}" in done.out
    assert "--json" in done.out or "Commands:" in done.out


def test_no_line_of_a_list_of_subcommands_breaks_off(tidemill):
    groups = {name: tidemill(name, "--help", COLUMNS="80").out for name in COMMANDS}
    groups = {name: out.partition("Commands:")[2] for name, out in groups.items() if "Commands:" in out}
    assert set(groups) >= {"contract", "labels", "models", "store"}
    assert [line for out in groups.values() for line in out.splitlines() if line.endswith("...")] == []


def test_a_mistyped_command_is_guessed(tidemill):
    done = tidemill("rnu", expect=2)
    assert "Did you mean 'run'?" in done.err
    assert "Traceback" not in done.err


def test_a_wrong_option_under_json_is_one_json_line(tidemill):
    done = tidemill("runs", "--json", "--nonsense", expect=2)
    (line,) = done.lines
    assert line["status"] == "error"
    assert line["exit_code"] == 2
    assert "--nonsense" in line["error"]["message"]


def test_the_version_is_that_of_the_package(tidemill):
    assert tidemill("--version").out.startswith("tidemill 0.")


def test_a_defect_shows_one_screen_and_its_own_exit_code(monkeypatch, capsys):
    import tidemill.cli.app as app

    def broken(**_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(cli, "main", broken)
    with pytest.raises(SystemExit) as stopped:
        app.main(["runs"])
    assert stopped.value.code == 70
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in shown
    assert "--debug" in shown
    with pytest.raises(SystemExit) as stopped:
        app.main(["runs", "--debug"])
    assert stopped.value.code == 70
    assert 'raise ZeroDivisionError("division by zero")' in capsys.readouterr().err


def test_commands_are_completed_without_loading_any(tidemill):
    done = tidemill(expect=None, _TIDEMILL_COMPLETE="bash_complete", COMP_WORDS="tidemill pr", COMP_CWORD="1")
    assert [line.partition(",")[2] for line in done.out.splitlines()] == ["predict", "predictions"]
    assert "_tidemill_completion" in tidemill(expect=None, _TIDEMILL_COMPLETE="bash_source").out


#: Commands that work in a folder without a project.
ANYWHERE = ("demo", "init", "doctor", "run", "plan", "explore", "sources", "generate")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ANYWHERE])
def test_in_a_folder_without_a_project_every_command_says_what_is_missing(tidemill, name):
    given = {"diff": ["a", "b"], "cancel": ["a"], "serve": ["a"], "predict": ["a", __file__], "trace": ["a"]}
    given |= {
        "artifact": ["a"],
        "store": ["backup", "copy"],
        "models": ["list"],
        "contract": ["versions"],
        "labels": ["list"],
        "log-labels": ["a", __file__],
        "reproduce": ["a"],
        "score": ["a", "--source", __file__, "--to", "sqlite:///scores.db", "--entity", "b"],
        "webhooks": ["list"],
        "studies": ["list"],
    }
    if name == "predictions":
        assert "no predictions yet" in tidemill(name).out
    else:
        done = tidemill(name, *given.get(name, []), expect=3)
        missing = "nothing of this model was logged" if name == "log-labels" else "this project has no store yet"
        assert missing in done.err
        assert tidemill(name, *given.get(name, []), "--json", expect=3).summary["exit_code"] == 3
    assert list(tidemill.folder.iterdir()) == []  # to look around leaves nothing behind


@pytest.mark.parametrize(
    "arguments", [["cancel"], ["predict", "m"], ["score", "m"], ["trace"], ["artifact"], ["models", "shwo"]]
)
def test_a_missing_argument_is_named_on_one_screen(tidemill, arguments):
    done = tidemill(*arguments, expect=2)
    assert "Usage: tidemill" in done.err
    assert len(done.err.splitlines()) < 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"[project\n", "not valid TOML"),
        (b"\xff\xfe", "cannot be read"),
        (b"[project]\nnmae = 'x'\n", "Did you mean 'name'?"),
        (b"[project]\nstore = 7\n", "must be text"),
    ],
)
def test_a_corrupt_project_file_is_an_error_on_one_screen(small, text, said):
    (small.folder / "tidemill.toml").write_bytes(text)
    for command in ("run", "runs", "plan"):
        done = small(command, expect=2)
        assert said in done.err
        assert len(done.err.splitlines()) <= 3


def test_it_works_in_odd_surroundings(small):
    folder = small.folder / "wähl mich; $(x) 'q'"
    folder.mkdir()
    for file in ("pipeline.py", "shapes.py", "tidemill.toml"):
        (small.folder / file).rename(folder / file)
    small("run", "--project", str(folder))
    environment = {"HOME": "/nonexistent", "NO_COLOR": "1", "COLUMNS": "20", "LC_ALL": "C", "PYTHONIOENCODING": "utf-8"}
    assert "\x1b[" not in small("show", "--project", str(folder), **environment).out
    assert "numbers" in small("show", "--project", str(folder), **environment).out


def test_a_store_that_was_deleted_is_missed_not_a_defect(small):
    small("run")
    for path in sorted((small.folder / ".tidemill").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert "this project has no store yet" in small("show", expect=3).err
    small("run")


def test_a_long_list_may_be_cut_by_its_reader(small):
    small("run")
    for arguments in (["runs"], ["show"], ["runs", "--json"]):
        with small.start(*arguments) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.wait(timeout=30) == 0


def test_a_path_that_cannot_be_written_is_no_defect(small):
    small("run")
    done = small("show", "--html", "/proc/report.html", expect=2)
    assert "this path cannot be used" in done.err
    assert "defect" not in done.err
