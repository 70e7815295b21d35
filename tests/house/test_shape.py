"""A stranger can read any file in one sitting: the house rules that no linter knows."""

from __future__ import annotations

import ast
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tidemill"
FILES = sorted(SOURCE.rglob("*.py"))
MAX_FILE, MAX_FUNCTION = 400, 50


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_short_and_so_are_its_functions(path):
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE, f"{name_of(path)} has more than {MAX_FILE} lines: split it by idea"
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and code_lines(node) > MAX_FUNCTION
    ]
    assert not long, f"{name_of(path)}: functions over {MAX_FUNCTION} lines: {', '.join(long)}"


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node) is not None:
        docstring = node.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_stand_at_the_top(path):
    relative = path.relative_to(SOURCE)
    if relative.parts[0] == "integrations":
        return
    hidden = [
        node.lineno
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not hidden, f"{relative}: imports inside functions at lines {hidden}"


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=name_of)
def test_a_folder_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{name_of(path)} has no docstring"


def test_there_are_no_import_cycles():
    graph = grimp.build_graph("tidemill", cache_dir=None, exclude_type_checking_imports=True)
    state: dict[str, int] = {}
    cycles: list[list[str]] = []

    def visit(module: str, trail: list[str]) -> None:
        state[module] = 1
        for imported in graph.find_modules_directly_imported_by(module):
            if state.get(imported) == 1:
                cycles.append([*trail[trail.index(imported) :], imported])
            elif imported not in state:
                visit(imported, [*trail, imported])
        state[module] = 2

    for module in sorted(graph.modules):
        if module not in state:
            visit(module, [module])
    assert not cycles, " | ".join(" -> ".join(cycle) for cycle in cycles)


def test_every_room_of_the_layers_contract_has_a_test_folder():
    rooms = {
        path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists() and not path.name.startswith("_")
    }
    untested = sorted(room for room in rooms - {"testing"} if not list((ROOT / "tests" / room).glob("**/test_*.py")))
    assert not untested, f"rooms without tests: {untested}"
