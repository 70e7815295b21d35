"""Who starts a run, where, and from which commit."""

from __future__ import annotations

import functools
import getpass
import platform
import socket
from collections.abc import Mapping
from pathlib import Path


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
