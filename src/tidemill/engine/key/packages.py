"""Which installed distribution a module comes from, and its version, found fast."""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from importlib.metadata import Distribution, MetadataPathFinder, PackageNotFoundError, version
from pathlib import Path

from tidemill.core.digests import digest_bytes

#: Names of distributions that differ from the name of their module: guesses, verified before they are believed.
_COMMON = {
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "yaml": "PyYAML",
    "dateutil": "python-dateutil",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "skimage": "scikit-image",
}


def package_versions(module: str) -> dict[str, str]:
    """The distributions that hold an installed module, with their versions; empty for the standard library.

    A module that lies in a folder of packages but belongs to no distribution has the digest of its files as version,
    one that is not there has ``"absent"``.

    >>> sorted(package_versions("sqlalchemy.orm"))
    ['SQLAlchemy']
    >>> package_versions("json")
    {}
    """
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return {}
    if top == "tidemill":
        return {"tidemill": own_version()}
    return dict(_versions(module, tuple(sys.path)))


@lru_cache(maxsize=1)
def own_version() -> str:
    """The version of Tidemill."""
    try:
        return version("tidemill")
    except PackageNotFoundError:  # run from a folder of sources that is not installed
        return "unknown"


@lru_cache(maxsize=4096)
def _versions(module: str, path: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    top = module.partition(".")[0]
    guessed = _by_name(_COMMON.get(top, top), path) or _by_name(top, path)
    if guessed is not None and _has_package(guessed, top):
        return ((guessed.name, guessed.version),)
    owners = _owners(path).get(top, ())
    if len(owners) > 1:  # a namespace: the distribution that holds the deepest part of the dotted name
        owners = _deepest(owners, module)
    if owners:
        return tuple(sorted((owner.name, owner.version) for owner in owners))
    return ((top, _version_of_files(top, path)),)


def _by_name(name: str, path: tuple[str, ...]) -> Distribution | None:
    return next(iter(MetadataPathFinder().find_distributions(_context(name, path))), None)


def _context(name: str | None, path: tuple[str, ...]) -> MetadataPathFinder.Context:
    return MetadataPathFinder.Context(name=name, path=list(path))


def _has_package(distribution: Distribution, top: str) -> bool:
    """Whether a distribution holds the regular package or the module `top` (a namespace has no ``__init__``)."""
    return re.search(rf"^{re.escape(top)}(/__init__\.\w|\.[\w.-]+,)", _record(distribution), re.MULTILINE) is not None


def _record(distribution: Distribution) -> str:
    return distribution.read_text("RECORD") or distribution.read_text("SOURCES.txt") or ""


@lru_cache(maxsize=8)
def _owners(path: tuple[str, ...]) -> dict[str, tuple[Distribution, ...]]:
    """All distributions by the top-level names in them: reads every record, so it is the last resort."""
    owners: dict[str, tuple[Distribution, ...]] = {}
    for distribution in MetadataPathFinder().find_distributions(_context(None, path)):
        stated = (distribution.read_text("top_level.txt") or "").split()
        for top in set(stated) or _tops(_record(distribution)):
            owners[top] = (*owners.get(top, ()), distribution)
    return owners


def _tops(record: str) -> set[str]:
    firsts = {re.split(r"[/,]", line, maxsplit=1)[0] for line in record.splitlines()}
    ignored = (".dist-info", ".data", ".egg-info", "__pycache__", "..")
    return {first.partition(".")[0] for first in firsts if first and not first.endswith(ignored)}


def _deepest(owners: tuple[Distribution, ...], module: str) -> tuple[Distribution, ...]:
    parts = module.split(".")
    for depth in range(len(parts), 1, -1):
        prefix = "/".join(parts[:depth])
        holders = tuple(owner for owner in owners if re.search(rf"^{prefix}[/.]", _record(owner), re.MULTILINE))
        if holders:
            return holders
    return owners


def _version_of_files(top: str, path: tuple[str, ...]) -> str:
    for entry in path:
        base = Path(entry or ".")
        files = sorted((base / top).rglob("*.py")) if (base / top).is_dir() else sorted(base.glob(f"{top}.*"))
        readable = [file for file in files if file.is_file() and file.suffix in (".py", ".so", ".pyd")]
        if readable:
            named = [(file.relative_to(base).as_posix().encode(), file.read_bytes()) for file in readable]
            return digest_bytes(*(part for pair in named for part in pair))
    return "absent"
