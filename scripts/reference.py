"""Write docs/reference/python.md from the docstrings of Tidemill's public names."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import tidemill
from tidemill.engine import Step

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "python.md"
WIDTH = 100
#: Rooms in the order of a model's life, with what stands above their names.
ROOMS = {
    "core": "Values",
    "project": "Project",
    "engine": "Steps and pipelines",
    "tracking": "Runs",
    "design": "Design",
    "data": "Data",
    "features": "Features",
    "training": "Training",
    "evaluation": "Evaluation",
    "packaging": "Packaging",
    "registry": "Registry",
    "serving": "Serving",
    "monitoring": "Monitoring",
}
HEAD = """# Python

Every public name, `import tidemill as tm`. They are loaded when they are first used: the import itself loads no other
package. `help(tm.NAME)` shows parameters, errors and examples. A *step* can be called anywhere; in the body of a
pipeline it is scheduled, recorded and cached. An *effect* is a step that changes the world: every run executes it.

Errors are in `tidemill.core.errors`, operations of a cleaning plan in `tidemill.data.operations`, rules of a contract
in `tidemill.data.contract`, contract suites in `tidemill.testing`.

This page is written by `python scripts/reference.py`.
"""


class _Text:
    """An annotation as it stands in the source."""

    def __init__(self, annotation: Any) -> None:
        self._text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)

    def __repr__(self) -> str:
        return self._text


def page() -> str:
    """The text of the page."""
    places: dict[str, str] = {name: _function(getattr(tidemill, name)).__module__ for name in tidemill.__all__}
    rooms: dict[str, list[str]] = {room: [] for room in ROOMS}
    for name in sorted(places, key=str.lower):
        rooms[places[name].split(".")[1]].append(name)
    parts = [HEAD]
    for room, names in rooms.items():
        if names:
            parts += [f"## {ROOMS[room]}\n", *(_entry(name, places[name]) for name in names)]
    return "\n".join(parts)


def _function(value: Any) -> Any:
    return value.function if isinstance(value, Step) else value


def _entry(name: str, module: str) -> str:
    value = getattr(tidemill, name)
    kind = ""
    if isinstance(value, Step):
        kind = " An effect." if value.options.effect else " A step."
    path = f"src/{module.replace('.', '/')}"
    path += ".py" if (ROOT / f"{path}.py").exists() else "/__init__.py"
    called = "" if _function(value).__name__ == name else f" Its home name is `{_function(value).__name__}`."
    sentence = _first_sentence(inspect.getdoc(_function(value)) or "")
    return (
        f"### `{name}`\n\n```python\n{_signature(name, value)}\n```\n\n"
        f"{sentence}{kind}{called} [`{module}`](../../{path})\n"
    )


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    sentence, found, _ = paragraph.partition(". ")
    return (f"{sentence}." if found else paragraph).replace("``", "`")


def _signature(name: str, value: Any) -> str:
    signature = inspect.signature(_function(value))
    parameters = [
        item if item.annotation is item.empty else item.replace(annotation=_Text(item.annotation))
        for item in signature.parameters.values()
        if item.name != "self"
    ]
    returns = signature.return_annotation
    result = "" if returns is signature.empty or isinstance(value, type) else f" -> {_Text(returns)}"
    line = f"{name}{signature.replace(parameters=parameters, return_annotation=signature.empty)}{result}"
    if len(line) <= WIDTH:
        return line.replace("<factory>", "...")
    shown = [str(item).replace("<factory>", "...") for item in parameters]
    if any(item.kind is item.KEYWORD_ONLY for item in parameters) and not any(
        item.kind is item.VAR_POSITIONAL for item in parameters
    ):
        shown.insert(next(i for i, item in enumerate(parameters) if item.kind is item.KEYWORD_ONLY), "*")
    return f"{name}(\n" + "".join(f"    {text},\n" for text in shown) + f"){result}"


def main() -> int:
    """Write the page, and say so."""
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
