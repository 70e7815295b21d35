"""The walk from a function through everything that it reaches inside the project."""

from __future__ import annotations

import ast
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

from tidemill.core.digests import digest_bytes
from tidemill.core.errors import UsageError
from tidemill.engine.key.bytecode import code_digest
from tidemill.engine.key.callables import wrapped_by
from tidemill.engine.key.classes import class_parts
from tidemill.engine.key.encoder import Encoder, type_name
from tidemill.engine.key.guards import Guards
from tidemill.engine.key.names import (
    MISSING,
    MODULE_GLOBALS,
    absolute,
    builtin,
    home,
    member,
    named_by,
    project_module,
)
from tidemill.engine.key.normal import function_form, module_form
from tidemill.engine.key.packages import package_versions
from tidemill.engine.key.references import Reference, references
from tidemill.engine.key.source import function_node, load_source
from tidemill.engine.key.territory import (
    is_project_class,
    is_project_code,
    is_project_file,
    is_project_module,
    is_project_name,
    module_label,
)
from tidemill.engine.key.values import RULES, value_bytes

Namespace = dict[str, Any]
_forms: dict[tuple[int, bool], tuple[CodeType, str, Sequence[ast.expr]]] = {}


class Walk:
    """Collects the parts of a fingerprint and the guards that tell when it has to be made again.

    Parameters
    ----------
    root
        The real path of the project's folder.
    entry
        The function that is fingerprinted: its annotations count, since they choose what it receives; the defaults of
        its parameters do not, since they are arguments.
    strict
        Whether a value without a canonical form is an error; it counts by its type otherwise.
    """

    def __init__(self, root: str, entry: FunctionType | None = None, *, strict: bool = True) -> None:
        self.root = root
        self.parts: dict[str, str] = {}
        self.guards = Guards()
        self._entry = entry
        self._strict = strict
        self._labels: dict[int, str] = {}
        self._kept: list[object] = []
        self._counts: dict[str, int] = {}
        self._queue: deque[tuple[Callable[[Any, str], None], object, str]] = deque()
        self._home: Namespace | None = None

    def run(self) -> None:
        """Visit everything that was reached and not yet visited."""
        while self._queue:
            visit, item, label = self._queue.popleft()
            visit(item, label)

    @contextmanager
    def inside(self, namespace: Namespace | None) -> Iterator[None]:
        """Values met meanwhile belong to the module of this namespace."""
        before, self._home = self._home, namespace
        try:
            yield
        finally:
            self._home = before

    # What the encoding of values asks (see `encoder.Reached`).

    def code(self, value: object) -> str | None:
        """The label of a function, class or module, to be visited later; None for anything else."""
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, ModuleType):
            return self._module(value)
        if isinstance(value, BuiltinFunctionType):
            return self._extension(value)
        return self._class(value) if isinstance(value, type) else None

    def is_project(self, cls: type) -> bool:
        """Whether a class is the project's own."""
        return is_project_class(cls, self.root)

    def package(self, module: str) -> None:
        """Count the distribution of an installed module."""
        for name, version in package_versions(module).items():
            self.parts[f"package {name}"] = version

    def relative(self, text: str) -> str:
        """Text without the place of the project."""
        return text.replace(self.root, "<root>") if len(self.root) > 1 else text

    def whole_module(self) -> str | None:
        """The label of the module in which values are being encoded."""
        name = None if self._home is None else self._home.get("__name__")
        module = sys.modules.get(str(name))
        return None if module is None else self._module(module)

    # Labels: everything is queued when it is met first.

    def _label(self, value: object, text: str, visit: Callable[[Any, str], None]) -> str:
        known = self._labels.get(id(value))
        if known is not None:
            return known
        count = self._counts[text] = self._counts.get(text, 0) + 1
        label = text if count == 1 else f"{text} #{count}"  # one closure of several that one function made
        self._labels[id(value)] = label
        self._kept.append(value)
        self._queue.append((visit, value, label))
        return label

    def _function(self, function: FunctionType) -> str:
        if not is_project_code(function.__code__, function.__globals__, self.root):
            return self._foreign(function)
        module = module_label(str(function.__globals__.get("__name__", "__main__")), function.__globals__)
        if function is self._entry:
            return self._label(function, f"step {module}.{function.__qualname__}", self._visit_function)
        return self._label(function, f"function {module}.{function.__code__.co_qualname}", self._visit_function)

    def _foreign(self, function: FunctionType) -> str:
        """Installed code counts by version; what it wraps or holds in its cells may still be the project's."""
        name = str(function.__globals__.get("__name__", function.__module__))
        self.package(name)
        text = f"{name}.{function.__code__.co_qualname}"
        registry, wrapped = getattr(function, "registry", None), wrapped_by(function)
        if wrapped is None and registry is None and not function.__closure__:
            return text
        return self._label(function, f"wrapper {text}", self._visit_foreign)

    def _class(self, cls: type) -> str:
        if not self.is_project(cls):
            self.package(cls.__module__)
            return type_name(cls)
        text = f"class {module_label(cls.__module__)}.{cls.__qualname__}"
        return self._label(cls, text, self._visit_class)

    def _module(self, module: ModuleType) -> str:
        if not is_project_module(module, self.root):
            self.package(module.__name__)
            return f"module {module.__name__}"
        return self._label(module, f"module {module_label(module.__name__)}", self._visit_module)

    def _extension(self, function: BuiltinFunctionType) -> str | None:
        """A compiled function of the project counts by the bytes of its library."""
        module = sys.modules.get(function.__module__ or "")
        if module is None or not is_project_file(vars(module).get("__file__"), self.root):
            return None
        return f"{self._label(module, f'extension {module.__name__}', self._visit_extension)}.{function.__qualname__}"

    # Visits: each writes the part of its label.

    def _visit_function(self, function: FunctionType, label: str) -> None:
        self.guards.function(function)
        code, namespace, entry = function.__code__, function.__globals__, function is self._entry
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        text, decorators = self._form(function, annotated=entry)
        bindings = [self._binding(reference, namespace, cells) for reference in references(code)]
        bindings += [binding for node in decorators for binding in self._expression(node, namespace)]
        if entry:
            bindings += self._annotations(function)
        self.parts[label] = _digest(text, *bindings)
        place = label.partition(" ")[2]
        with self.inside(namespace):
            for name, cell in cells.items():
                self._visit_cell(cell, f"closure {place}.<{name}>")
            if not entry:
                for name, value in _defaults(function).items():
                    self._part(f"default {place}.<{name}>", value)

    def _visit_cell(self, cell: CellType, label: str) -> None:
        try:
            value = cell.cell_contents
        except ValueError:  # not assigned yet
            return
        self.guards.cell(cell, value)
        if not isinstance(value, ModuleType):  # what is used of a module is seen where it is used
            self._part(label, value)

    def _visit_foreign(self, function: FunctionType, label: str) -> None:
        encoder = Encoder(self, RULES)
        registry, wrapped = getattr(function, "registry", None), wrapped_by(function)
        held = [b""] if registry is None else [encoder.lenient(registry, label)]
        if wrapped is not None:
            held.append(encoder.encode(wrapped, label))
        elif registry is None:
            held += [encoder.lenient(_content(cell), label) for cell in function.__closure__ or ()]
        self.parts[label] = digest_bytes(*held)

    def _visit_class(self, cls: type, label: str) -> None:
        self.guards.members(vars(cls).values(), vars(cls).values())
        namespace = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
        found = class_parts(cls)
        pieces = [found.text]
        pieces += [self._binding(reference, namespace, {}) for reference in found.references]
        with self.inside(namespace):
            encoder = Encoder(self, RULES)
            for name, value in found.attributes.items():
                encode = encoder.encode if self._strict and name in found.stated else encoder.lenient
                pieces.append(f"{name}={encode(value, f'{label}.{name}')!r}")
            pieces += [repr(encoder.encode(base, label)) for base in (*cls.__bases__, type(cls))]
        self.parts[label] = _digest(*pieces)

    def _visit_module(self, module: ModuleType, label: str) -> None:
        filename = vars(module).get("__file__")
        source = None if filename is None else load_source(filename)
        if source is None:
            return self._visit_extension(module, label) if filename else None
        namespace = vars(module)
        pieces = [module_form(source.tree), str(source.edited)]
        self.parts[label] = ""  # it may refer to itself
        pieces += [self._binding(reference, namespace, {}) for reference in references(source.code, nested=False)]
        with self.inside(namespace):
            encoder = Encoder(self, RULES)
            for name in sorted(set(source.code.co_names) & set(namespace) - MODULE_GLOBALS):
                self.guards.name(namespace, name, namespace[name])
                pieces.append(f"{name}={encoder.lenient(namespace[name], name)!r}")
        self.parts[label] = _digest(*pieces)
        return None

    def _visit_extension(self, module: ModuleType, label: str) -> None:
        self.parts[label] = digest_bytes(Path(str(module.__file__)).read_bytes())

    def _part(self, label: str, value: object) -> None:
        try:
            self.parts[label] = digest_bytes(value_bytes(value, self, label))
        except UsageError:
            if self._strict:
                raise
            self.parts[label] = digest_bytes(type_name(type(value)).encode())

    def value(self, value: object, path: str) -> str:
        """The canonical text of a value, called `path` in errors."""
        return value_bytes(value, self, path).decode("utf-8", "surrogateescape")

    # Source.

    def _form(self, function: FunctionType, *, annotated: bool) -> tuple[str, Sequence[ast.expr]]:
        """The normal form, or the bytecode where no source fits. It stays with the code when the file is edited."""
        code = function.__code__
        known = _forms.get((id(code), annotated))
        if known is None:
            node, text = function_node(function), f"bytecode {code_digest(code)}"
            decorators = [d for d in getattr(node, "decorator_list", []) if not self._is_ours(d, function.__globals__)]
            if node is not None:
                kept = annotated or bool(decorators)
                text = function_form(node, decorators=decorators, annotations=kept, defaults=not annotated)
            known = _forms[id(code), annotated] = (code, text, decorators)
        return known[1], known[2]

    def _is_ours(self, decorator: ast.expr, namespace: Namespace) -> bool:
        """Whether it is Tidemill's own: how a step runs (retries, executor) says nothing about what it computes."""
        return str(getattr(named_by(decorator, namespace), "__module__", "")).startswith("tidemill.engine")

    def _expression(self, node: ast.expr, namespace: Namespace) -> list[str]:
        code = compile(ast.Expression(node), "<decorator>", "eval", dont_inherit=True)
        return [self._binding(reference, namespace, {}) for reference in references(code)]

    def _annotations(self, function: FunctionType) -> list[str]:
        """What the annotations of a step mean: its tables and its own types arrive as these."""
        found = []
        for name, annotation in function.__annotations__.items():
            if isinstance(annotation, str):
                try:
                    node = ast.parse(annotation, mode="eval").body
                except SyntaxError:
                    continue
                found += self._expression(node, function.__globals__)
            else:
                found.append(f"{name}: {Encoder(self, RULES).lenient(annotation, name)!r}")
        return found

    # Names.

    def _binding(self, reference: Reference, namespace: Namespace, cells: dict[str, CellType]) -> str:
        return f"{reference}={self._resolve(reference, namespace, cells)}"

    def _resolve(self, reference: Reference, namespace: Namespace, cells: dict[str, CellType]) -> str:
        if reference.kind in ("import", "touch"):
            return self._imported(reference, namespace)
        if reference.kind == "free":
            content = _content(cells[reference.name]) if reference.name in cells else MISSING
            return self._through(content, reference.attributes) if isinstance(content, ModuleType) else "cell"
        value = namespace.get(reference.name, MISSING)
        if value is MISSING:
            self.guards.absent(namespace, reference.name)
            return "built-in" if builtin(reference.name) else "undefined"
        self.guards.name(namespace, reference.name, value)
        if isinstance(value, ModuleType):
            return self._through(value, reference.attributes)
        return self._named(namespace, reference.name, value, reference.attributes)

    def _imported(self, reference: Reference, namespace: Namespace) -> str:
        name = absolute(reference.name, reference.level, namespace)
        if name is None:
            return "undefined"
        top = name.partition(".")[0]
        if not is_project_name(top, self.root):
            self.package(name)
            return f"module {name}"
        module = project_module(name, self.root)
        if module is None:
            return "undefined"
        return "module" if reference.kind == "touch" else self._through(module, reference.attributes)

    def _through(self, module: ModuleType, attributes: tuple[str, ...]) -> str:
        """Follow attributes read from a module, through submodules, to what is meant in the end."""
        while attributes and is_project_module(module, self.root):
            name, *rest = attributes
            value = member(module, name)
            if value is MISSING:
                self.guards.absent(vars(module), name)
                return f"undefined {name}"
            if name in vars(module):
                self.guards.name(vars(module), name, value)
            if not isinstance(value, ModuleType):
                return self._named(vars(module), name, value, tuple(rest))
            module, attributes = value, tuple(rest)
        return self._module(module)

    def _named(self, namespace: Namespace, name: str, value: object, attributes: tuple[str, ...]) -> str:
        """What a global means: the label of code, or of the constant that it is."""
        if name in MODULE_GLOBALS:
            return "module's own"
        if isinstance(value, FunctionType) and attributes and attributes[0] in vars(value):
            self.guards.name(vars(value), attributes[0], vars(value)[attributes[0]])
            self._constant(namespace, f"{name}.{attributes[0]}", vars(value)[attributes[0]])
        if isinstance(value, FunctionType | BuiltinFunctionType | type) or wrapped_by(value) is not None:
            with self.inside(namespace):
                return self.value(value, f"global {name}")
        return self._constant(*home(namespace, name, value), value)

    def _constant(self, namespace: Namespace, name: str, value: object) -> str:
        label = f"constant {module_label(str(namespace.get('__name__', '__main__')), namespace)}.{name}"
        if label not in self.parts:
            self.parts[label] = ""  # it may lead back to itself
            with self.inside(namespace):
                try:
                    self._part(label, value)
                except UsageError:
                    if not self._is_state(namespace, name):
                        raise
                    self.parts[label] = digest_bytes(type_name(type(value)).encode())
        return label

    def _is_state(self, namespace: Namespace, name: str) -> bool:
        """Whether a function of the module assigns it: a connection that is made when it is first needed."""
        filename = namespace.get("__file__")
        source = None if filename is None else load_source(filename)
        return source is not None and name in source.assigned


def _digest(*pieces: str) -> str:
    return digest_bytes("\n".join(pieces).encode("utf-8", "surrogatepass"))


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _defaults(function: FunctionType) -> dict[str, object]:
    code, values = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(values) : code.co_argcount]
    return {**dict(zip(names, values, strict=True)), **(function.__kwdefaults__ or {})}
