"""Who starts a run, where, from which commit, with which files of the project and which installed packages."""

from __future__ import annotations

import functools
import getpass
import os
import platform
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tidemill.core.digests import digest_value

#: Files beside ``tidemill.toml`` that say what a project needs, by their endings.
_STATED = (".lock", "requirements.txt", "environment.yml")
#: Files beside any loaded module of the project: code, and what code is told, such as ``contract.toml``.
_OWN = (".py", ".toml")
#: Other files beside them that code may read, such as queries and word lists; larger ones are data.
_READ = (".json", ".sql", ".txt", ".yaml", ".yml")
_SMALL = 64 * 1024
_MOST_BYTES = 4_000_000
#: In a name, or in the text of what is no code: not for the readers of a record.
_SECRETS = (
    "secret",
    "credential",
    "passw",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "service-account",
    "service_account",
)
_SECRET_TEXTS = ("PRIVATE KEY-----", '"private_key"')


@functools.cache
def user() -> str:
    """The name of the user, empty where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run under a number without a name
        return ""


@functools.cache
def host() -> str:
    """The name of this machine."""
    return socket.gethostname()


@functools.cache
def environment() -> Mapping[str, str]:
    """The interpreter and the platform."""
    return {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}


@functools.cache
def packages() -> Mapping[str, str]:
    """Versions of the installed distributions, by the names of their folders, the first on the path winning."""
    found: dict[str, str] = {}
    for place in sys.path:
        try:
            names = [entry.name for entry in os.scandir(place or ".") if entry.name.endswith(".dist-info")]
        except OSError:  # an archive, or a folder that is not there
            continue
        for name in names:
            package, _, version = name.removesuffix(".dist-info").rpartition("-")
            found.setdefault(package, version)
    return dict(sorted(found.items()))


def sources(root: Path) -> dict[str, str]:
    """The text of a project's Python files that are loaded, of what lies beside them, and of what the project needs.

    By path below `root`. Beside them are Python, TOML, and JSON, SQL, text and YAML up to 64 KiB each. What is
    installed, hidden or called a secret (``secrets.toml``, ``token.json``) is left out, and what is more than 4 MB in
    all, code last.
    """
    texts: dict[str, str] = {}
    room = _MOST_BYTES
    for path in sorted(set(_files(root)), key=lambda path: (path.suffix not in _OWN, path)):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if path.suffix in _READ and any(mark in text for mark in _SECRET_TEXTS):
            continue
        room -= len(text)
        if room < 0:
            break
        texts[path.relative_to(root).as_posix()] = text
    return texts


def _files(root: Path) -> Iterator[Path]:
    prefix = f"{root}{os.sep}"
    loaded = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    own = {Path(file) for file in loaded if file.startswith(prefix) and _is_own(file.removeprefix(prefix))}
    for folder in {root, *(path.parent for path in own)}:
        for entry in folder.iterdir():
            is_kept = entry.suffix in _OWN or (folder == root and entry.name.endswith(_STATED))
            if (is_kept or _is_told(entry)) and (entry.suffix == ".py" or not _is_secret(entry.name)):
                yield entry


def _is_told(file: Path) -> bool:
    """Whether a file is small text that code may read."""
    return file.suffix in _READ and file.is_file() and file.stat().st_size <= _SMALL


def _is_secret(name: str) -> bool:
    """Whether a file may hold what the readers of a record should not see."""
    return name.startswith(".") or any(word in name.lower() for word in _SECRETS)


def _is_own(path: str) -> bool:
    parts = Path(path).parts
    return path.endswith(".py") and not any(part.startswith(".") or part.endswith("-packages") for part in parts)


def recorded(root: Path) -> tuple[dict[str, str], dict[str, Mapping[str, str]]]:
    """What a run keeps of its surroundings, and the tables that two of its entries are the digests of."""
    tables = {"packages": packages(), "sources": sources(root)}
    digests = {name: digest_value(dict(table)) for name, table in tables.items()}
    return {**environment(), **digests}, {digests[name]: table for name, table in tables.items()}


def commit(root: Path) -> str:
    """The commit that is checked out around a folder, read from its files; empty outside of git."""
    for folder in (root, *root.parents):
        git = folder / ".git"
        if git.is_dir():
            return _head(git)
        if git.is_file():  # a work tree of its own: the file says where its data is
            return _head(folder / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip())
    return ""


def _head(git: Path) -> str:
    head = _text(git / "HEAD")
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    common = git / _text(git / "commondir") if (git / "commondir").exists() else git
    for place in (git, common):
        found = _text(place / name)
        if found:
            return found
    packed = _text(common / "packed-refs").splitlines()
    return next((line.partition(" ")[0] for line in packed if line.endswith(f" {name}")), "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
