"""From a URI to files on this machine: one small function per scheme, found in a static table."""

from __future__ import annotations

import glob
import importlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path

from tidemill.core.errors import ConfigError, NotFoundError

#: scheme -> "module:function"; a function takes (uri, root) and gives the files in reading order.
_SCHEMES = {
    "": "tidemill.data.sources.locate:local_files",
    "file": "tidemill.data.sources.locate:local_files",
    "package": "tidemill.data.sources.locate:package_file",
}
_ENTRY_POINTS = "tidemill.sources"


def locate(uri: str, root: Path) -> list[Path]:
    """The files that a URI names, sorted; relative paths count from `root`.

    Raises
    ------
    ConfigError
        If nothing reads this scheme.
    NotFoundError
        If there is no such file or package.
    """
    scheme = uri.partition("://")[0] if "://" in uri else ""
    target = _SCHEMES.get(scheme)
    if target is not None:
        module, _, name = target.partition(":")
        locator: Callable[[str, Path], list[Path]] = getattr(importlib.import_module(module), name)
        return locator(uri, root)
    for entry in importlib.metadata.entry_points(group=_ENTRY_POINTS, name=scheme):
        found: list[Path] = entry.load()(uri, root)
        return found
    raise ConfigError(
        f"no source reads the scheme {scheme!r}",
        value=uri,
        hint="Use a path, file:// or package://, or install a package that provides this scheme.",
    )


def local_files(uri: str, root: Path) -> list[Path]:
    """Files of a path or a glob (``*``, ``?``, ``[…]``, ``**``)."""
    pattern = uri.removeprefix("file://")
    path = Path(pattern) if Path(pattern).is_absolute() else root / pattern
    if path.is_file():
        return [path]
    found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 (absolute patterns)
    files = [item for item in found if item.is_file()]
    if not files:
        raise NotFoundError(
            "no file matches the source's uri", value=uri, hint=f"Relative paths count from {root}; put the file there."
        )
    return files


def package_file(uri: str, root: Path) -> list[Path]:  # noqa: ARG001 (every locator takes both)
    """A data file inside an installed distribution, found without importing the package."""
    distribution, _, inside = uri.removeprefix("package://").partition("/")
    try:
        recorded = importlib.metadata.files(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise NotFoundError(
            f"the package {distribution!r}, which holds this data, is not installed",
            value=uri,
            hint=f"Run: pip install {distribution}",
        ) from None
    names = [str(item) for item in recorded or ()]
    module = distribution.replace("-", "_")
    for item in recorded or ():
        if str(item) in (inside, f"{module}/{inside}"):
            return [Path(str(item.locate()))]
    data = [name for name in names if not name.endswith((".py", ".pyc")) and ".dist-info/" not in name]
    raise NotFoundError(
        f"the package {distribution!r} has no such file",
        value=inside,
        hint=f"It has: {', '.join(data[:12]) or 'no data files'}.",
    )
