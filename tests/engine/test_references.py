"""Without these a worker would run another function than the one that was meant."""

from __future__ import annotations

import functools
import os
import sys
import types
from pathlib import Path

import pytest

from tidemill.core.errors import PipelineError
from tidemill.engine import references
from tidemill.engine.references import FunctionRef, are_current, load_module, loaded_sources, reference, resolve
from tidemill.engine.step import step


def plain() -> int:
    return 1


def doubling(function):
    @functools.wraps(function)
    def wrapper() -> int:
        return 2 * function()

    return wrapper


@step
@doubling
def decorated() -> int:
    return 2


class Holder:
    @staticmethod
    def inside() -> int:
        return 3


def test_functions_are_found_again_with_the_decorators_of_others():
    assert resolve(reference(plain)) is plain
    assert resolve(reference(decorated.function))() == 4
    assert resolve(reference(Holder.inside)) is Holder.inside
    assert reference(plain).path == str(Path(__file__).absolute())


def test_what_cannot_be_found_by_name_is_refused_with_the_remedy(monkeypatch):
    def nested() -> None:
        """Do nothing."""

    impostor = types.FunctionType(plain.__code__, {}, "plain")
    impostor.__qualname__, impostor.__module__ = "plain", __name__
    for function, words in [
        (lambda: 1, "lambda"),
        (nested, "inside another function"),
        (functools.partial(plain), "by name"),
        (impostor, "no longer means"),
    ]:
        with pytest.raises(PipelineError, match=f"{words}.*executor='inline'"):
            reference(function)
    session = types.ModuleType("__main__")
    session.typed = types.FunctionType(plain.__code__, {"__name__": "__main__"}, "typed")
    session.typed.__module__, session.typed.__qualname__ = "__main__", "typed"
    monkeypatch.setitem(sys.modules, "__main__", session)
    with pytest.raises(PipelineError, match="interactive session"):
        reference(session.typed)


def test_a_name_that_is_gone_or_no_function_is_an_error():
    with pytest.raises(PipelineError, match="no function nowhere"):
        resolve(FunctionRef(__name__, "nowhere", None))
    with pytest.raises(PipelineError, match="not a function"):
        resolve(FunctionRef("tidemill.engine.references", "MAIN"))


def test_a_module_outside_the_import_path_is_loaded_from_its_file(tmp_path):
    file = tmp_path / "tm_outside.py"
    file.write_text("import tm_outside\nme = tm_outside\ndef f(): return 5\n")
    assert resolve(FunctionRef("tm_outside", "f", str(file)))() == 5
    assert str(file) in loaded_sources()
    del sys.modules["tm_outside"]


def test_a_file_that_hides_behind_another_module_of_the_same_name_is_still_found(tmp_path):
    file = tmp_path / "colorsys.py"
    file.write_text("def f(): return 6\n")
    before = sys.modules.pop("colorsys", None)
    assert load_module("colorsys", str(file)).f() == 6
    del sys.modules["colorsys"]
    if before is not None:
        sys.modules["colorsys"] = before


def test_a_module_that_fails_leaves_no_half_loaded_module(tmp_path):
    file = tmp_path / "tm_failing.py"
    file.write_text("import tm_missing_dependency\n")
    with pytest.raises(ModuleNotFoundError, match="tm_missing_dependency"):
        load_module("tm_failing", str(file))
    assert "tm_failing" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        load_module("tm_nowhere.sub")


def test_an_edited_touched_or_removed_file_is_no_longer_current(tmp_path):
    file = tmp_path / "f.py"
    file.write_text("1")
    sources = {str(file): references._state(str(file))}
    assert are_current(sources)
    os.utime(file, ns=(1, 1))
    assert not are_current(sources)
    sources = {str(file): references._state(str(file))}
    file.unlink()
    assert not are_current(sources)
