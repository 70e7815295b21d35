"""The digest of everything that a function reaches inside the project, remembered while nothing changes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

from tidemill.core.digests import digest_bytes
from tidemill.core.errors import UsageError
from tidemill.engine.key.callables import wrapped_by
from tidemill.engine.key.guards import Guards
from tidemill.engine.key.packages import own_version
from tidemill.engine.key.walk import Walk

_REMEMBERED = 4096
_fingerprints: dict[tuple[int, str, bool], tuple[object, Guards, Fingerprint]] = {}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the code of a function is.

    Parameters
    ----------
    digest
        Of all parts.
    parts
        Digests (versions for packages and Python) by name: ``"step flights.fit"``, ``"function flights.delays.ratio"``,
        ``"class …"``, ``"constant flights.conf.LIMIT"``, ``"closure fit.<threshold>"``, ``"default …"``,
        ``"package polars"``, ``"python"``.
    """

    digest: str
    parts: Mapping[str, str] = field(repr=False)


def fingerprint(function: Callable[..., Any], root: Path, *, strict: bool = True) -> Fingerprint:
    """The fingerprint of a function's code, followed through everything that it reaches inside the project.

    Followed are helper functions in any module, methods, classes with their bases, decorators, attributes and class
    bodies, closure cells, default arguments and module constants; installed packages that the code uses count by
    version. Comments, formatting, docstrings, the position in the file and the place of the project do not count. A
    module's import-time effects and names looked up by text (``getattr``, ``eval``) cannot be seen.

    Parameters
    ----------
    function
        A function, or an object that wraps one (``__wrapped__``).
    root
        The project's folder.
    strict
        Whether a value without a canonical form is an error. A step that is never cached can do without: such a value
        then counts by its type.

    Raises
    ------
    UsageError
        When the function depends on a value that has no canonical form, such as an open connection; it names it.

    Examples
    --------
    >>> import textwrap
    >>> found = fingerprint(lambda text: textwrap.dedent(text), Path())
    >>> sorted(name.partition(" ")[0] for name in found.parts)
    ['package', 'python', 'step']
    """
    known = _fingerprints.get((id(function), os.fspath(root), strict))
    if known is not None and known[0] is function and known[1].hold():
        return known[2]
    return _remember(function, root, strict=strict)


def _remember(function: Callable[..., Any], root: Path, *, strict: bool) -> Fingerprint:
    entry: object = function
    while not isinstance(entry, FunctionType) and wrapped_by(entry) is not None:
        entry = wrapped_by(entry)
    walk = Walk(os.path.realpath(root), entry if isinstance(entry, FunctionType) else None, strict=strict)
    name = f"{getattr(entry, '__module__', '')}.{getattr(entry, '__qualname__', repr(entry))}"
    try:
        if isinstance(entry, FunctionType):
            label = walk.code(entry)
            # Installed code, such as one of Tidemill's own verbs, counts by its version.
            walk.parts.update({} if label is None or label.startswith("step ") else {f"step {name}": ""})
        else:
            walk.parts[f"step {name}"] = walk.value(entry, name)
        walk.run()
    except UsageError as error:
        raise _explained(error, f"step {name}") from error
    found = _finished(walk)
    if len(_fingerprints) >= _REMEMBERED:
        _fingerprints.clear()
    _fingerprints[id(function), os.fspath(root), strict] = (function, walk.guards, found)
    return found


def _finished(walk: Walk) -> Fingerprint:
    walk.guards.seal()
    walk.parts["python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
    walk.parts["package tidemill"] = own_version()
    parts = dict(sorted(walk.parts.items()))
    return Fingerprint(digest_bytes(*(f"{name}\0{value}\0".encode() for name, value in parts.items())), parts)


def value_digest(value: object, root: Path, *, within: Callable[..., Any] | None = None) -> str:
    """The digest of a value that may hold code: functions, classes and objects of the project, with what they reach.

    Plain values have a digest in `tidemill.core.digests`; this is for the others, such as a function that is given to a
    step as a parameter.

    Parameters
    ----------
    value
        Anything that a module constant could be.
    root
        The project's folder.
    within
        The function that holds it, for expressions that can only be judged with the whole of their module.

    Raises
    ------
    UsageError
        When it has no canonical form.

    Examples
    --------
    >>> value_digest(str.lower, Path()) == value_digest(str.lower, Path())
    True
    >>> value_digest({"by": str.lower}, Path()) == value_digest({"by": str.upper}, Path())
    False
    """
    walk = Walk(os.path.realpath(root))
    with walk.inside(getattr(within, "__globals__", None)):
        own = walk.value(value, "value")
    walk.run()
    return digest_bytes(own.encode(), _finished(walk).digest.encode())


def _explained(error: UsageError, subject: str) -> UsageError:
    return UsageError(f"{subject} cannot be cached: {error.what}", value=error.value, hint=error.hint)
