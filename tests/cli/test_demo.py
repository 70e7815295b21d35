"""The demo must not touch what is somebody else's; that it runs is tested among the journeys."""

from __future__ import annotations

import pytest

from tidemill.cli.commands.demo import copy_example
from tidemill.core.errors import UsageError


def test_the_example_is_copied_once_and_changes_survive(tmp_path):
    folder = tmp_path / "my demo"
    names = {path.name for path in copy_example(folder)}
    assert {"tidemill.toml", "pipeline.py", "README.md"} <= names
    (folder / "pipeline.py").write_text("mine")
    (folder / "README.md").unlink()
    assert [path.name for path in copy_example(folder)] == ["README.md"]
    assert (folder / "pipeline.py").read_text() == "mine"


def test_a_folder_with_something_else_in_it_is_refused(tmp_path, tidemill):
    (tidemill.folder / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        copy_example(tmp_path)
    done = tidemill("demo", ".", expect=2)
    assert "tidemill demo DIR" in done.err
    assert [path.name for path in tidemill.folder.iterdir()] == ["thesis.txt"]


def test_trials_must_be_a_number(tidemill):
    assert "'many' is not a valid integer" in tidemill("demo", "--trials", "many", expect=2).err
