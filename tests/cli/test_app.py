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
    with pytest.raises(ZeroDivisionError):
        app.main(["runs", "--debug"])
