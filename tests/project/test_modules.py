"""A project's own modules are found; what is wrong in one is shown with its line and does not hide the others."""

from __future__ import annotations

import sys

import pytest

from tidemill.core.errors import ConfigError
from tidemill.project import import_modules, load_project


@pytest.fixture(autouse=True)
def forget_modules(monkeypatch):
    """What a test imports is forgotten after it."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_every_module_beside_the_file_is_imported_but_tests_and_private_ones(tmp_path):
    (tmp_path / "flows.py").write_text("import tidemill\nimport helpers_of_flows\nVALUE = helpers_of_flows.ONE\n")
    (tmp_path / "helpers_of_flows.py").write_text("ONE = 1  # tidemill steps use it\n")
    (tmp_path / "test_flows.py").write_text("import tidemill\nraise RuntimeError\n")
    (tmp_path / "_scratch.py").write_text("import tidemill\nraise RuntimeError\n")
    modules = import_modules(load_project(tmp_path))
    assert [module.__name__ for module in modules] == ["flows", "helpers_of_flows"]
    assert modules[0].VALUE == 1


def test_a_script_that_has_nothing_to_do_with_tidemill_is_not_run(tmp_path):
    (tmp_path / "flows_beside.py").write_text("import tidemill as tm\n")
    (tmp_path / "plot_it.py").write_text("import pathlib\npathlib.Path(__file__).unlink()\n")
    (tmp_path / "half_written.py").write_text("def f(:\n")
    (tmp_path / "in_latin.py").write_bytes("# -*- coding: latin-1 -*-\nNAME = 'Grün'\n".encode("latin-1"))
    assert [module.__name__ for module in import_modules(load_project(tmp_path))] == ["flows_beside"]
    assert (tmp_path / "plot_it.py").exists()


def test_the_named_modules_are_imported_and_no_others(tmp_path):
    (tmp_path / "tidemill.toml").write_text('[project]\nmodules = ["chosen_one"]\n')
    (tmp_path / "chosen_one.py").write_text("")
    (tmp_path / "other_one.py").write_text("raise RuntimeError\n")
    assert [module.__name__ for module in import_modules(load_project(tmp_path))] == ["chosen_one"]


def test_a_broken_module_is_shown_with_its_line_and_the_others_are_imported(tmp_path):
    (tmp_path / "broken_a.py").write_text("import tidemill\ny = 1 / 0\n")
    (tmp_path / "broken_b.py").write_text("def f(:  # tidemill\n")
    (tmp_path / "whole_c.py").write_text("VALUE = 3  # tidemill\n")
    with pytest.raises(ConfigError) as caught:
        import_modules(load_project(tmp_path))
    assert "broken_a.py, line 2: ZeroDivisionError" in str(caught.value)
    assert "broken_b.py, line 1: SyntaxError" in str(caught.value)
    assert sys.modules["whole_c"].VALUE == 3


def test_two_projects_may_have_modules_of_the_same_name(tmp_path):
    found = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "same_name.py").write_text(f"import tidemill\nNAME = {name!r}\n")
        found.append(import_modules(load_project(folder))[0].NAME)
    assert found == ["one", "two"]


def test_a_module_may_not_shadow_one_of_python(tmp_path):
    (tmp_path / "statistics.py").write_text("")
    with pytest.raises(ConfigError, match="name of a module of Python"):
        import_modules(load_project(tmp_path))


def test_helpers_of_another_project_are_not_used_by_this_one(tmp_path):
    found = []
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "same_pkg").mkdir(parents=True)
        (folder / "same_pkg" / "__init__.py").write_text("")
        (folder / "same_pkg" / "conf.py").write_text(f"NAME = {name!r}\n")
        (folder / "a_same_flow.py").write_text(
            "import tidemill\nfrom same_helper import NAME\nfrom same_pkg.conf import NAME as N\n"
        )
        (folder / "same_helper.py").write_text(f"NAME = {name!r}\n")
        module = import_modules(load_project(folder))[0]
        found.append((module.NAME, module.N))
    assert found == [("one", "one"), ("two", "two")]


def test_every_module_of_a_named_package_is_imported_from_src_too(tmp_path):
    (tmp_path / "tidemill.toml").write_text('[project]\nmodules = ["mill_pkg"]\n')
    package = tmp_path / "src" / "mill_pkg"
    (package / "deep").mkdir(parents=True)
    for path in ("__init__.py", "flows.py", "deep/__init__.py", "deep/more.py", "test_flows.py"):
        (package / path).write_text("raise RuntimeError" if path.startswith("test") else "")
    names = [module.__name__ for module in import_modules(load_project(tmp_path))]
    assert sorted(names) == ["mill_pkg", "mill_pkg.deep", "mill_pkg.deep.more", "mill_pkg.flows"]


def test_a_module_that_exits_is_a_broken_module(tmp_path):
    (tmp_path / "exits_mill.py").write_text("import sys, tidemill\nsys.exit(3)\n")
    with pytest.raises(ConfigError, match=r"exits_mill\.py, line 2: SystemExit: 3"):
        import_modules(load_project(tmp_path))


def test_a_missing_named_module_is_an_error(tmp_path):
    (tmp_path / "tidemill.toml").write_text('[project]\nmodules = ["no_such_mill"]\n')
    with pytest.raises(ConfigError, match="no_such_mill: ModuleNotFoundError"):
        import_modules(load_project(tmp_path))
