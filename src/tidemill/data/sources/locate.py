"""Files on this machine: one small function per scheme, found in the table of `schemes`."""

from __future__ import annotations

import glob
import importlib.metadata
from pathlib import Path

from tidemill.core.errors import NotFoundError
from tidemill.data.sources.formats import is_data


def local_files(uri: str, root: Path) -> list[Path]:
    """Files of a path, of a folder and all below it, or of a glob (``*``, ``?``, ``[…]``, ``**``)."""
    pattern = uri.removeprefix("file://")
    path = Path(pattern) if Path(pattern).is_absolute() else root / pattern
    if path.is_file():
        return [path]
    if path.is_dir():
        found = sorted(item for item in path.rglob("*") if item.is_file() and is_data(item))
    else:
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
