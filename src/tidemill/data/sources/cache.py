"""What was fetched from elsewhere, kept on this machine by the digest of its content.

Nothing depends on it: a file that is gone is fetched again and must have the digest that was pinned. It is kept within
the setting ``source_cache``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from tidemill.core.digests import digest_value
from tidemill.core.sizes import bytes_of
from tidemill.data.sources.evicting import keep_within, mark_used
from tidemill.data.sources.fingerprint import file_digest
from tidemill.project import current_project


def cached(root: Path, digest: str, name: str) -> Path | None:
    """The kept file of this digest, under a name that ends like `name`; None if it is not here or was altered."""
    path = _place(root, digest, name)
    return path if mark_used(path.parent) and path.is_file() and file_digest(path)[1] == digest else None


def folder_of(root: Path, digest: str) -> Path:
    """Where things are kept that were made of the content of this digest; what is there counts as used."""
    folder = cache_folder(root) / digest[:2] / digest
    if folder.exists():
        mark_used(folder)
    return folder


def cache_limit() -> int:
    """The bytes that may be kept, as the setting ``source_cache`` says."""
    return bytes_of(current_project().settings["source_cache"].value)


def made(folder: Path) -> Path:
    """The folder, which is made if need be; only what is written makes one, and git is told to leave it alone."""
    hidden = next((parent for parent in folder.parents if parent.name == ".tidemill"), None)
    is_new = hidden is not None and not hidden.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if hidden is not None and is_new:
        (hidden / ".gitignore").write_text("*\n", encoding="utf-8")
    return folder


@contextmanager
def receiving(root: Path) -> Iterator[Path]:
    """A temporary file to write to; `keep` moves it to its place, and whatever happens it is gone afterwards."""
    folder = made(cache_folder(root))
    with NamedTemporaryFile(dir=folder, prefix="tmp-", delete=False) as file:
        path = Path(file.name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def keep(root: Path, received: Path, name: str) -> tuple[Path, str]:
    """Put a received file in its place; where it is now, and its digest."""
    digest = file_digest(received)[1]
    path = _place(root, digest, name)
    while not mark_used(made(path.parent)):
        pass  # another process has evicted it between the two: it is made again
    os.replace(received, path)  # noqa: PTH105 — atomic, over what is there
    bound(root)
    return path, digest


def bound(root: Path) -> None:
    """Evict what is beyond the limit; called where something was added."""
    if cache_folder(root).is_dir():
        keep_within(cache_folder(root), cache_limit())


def remember(root: Path, what: object, state: str, digest: str) -> None:
    """Note that the thing of this address had this content in this state (an ETag, a version)."""
    path = _note(root, what)
    made(path.parent)
    with receiving(root) as temporary:
        temporary.write_text(json.dumps({"state": state, "digest": digest}), encoding="utf-8")
        os.replace(temporary, path)  # noqa: PTH105


def recall(root: Path, what: object, state: str) -> str | None:
    """The digest of the thing's content if it is still in this state."""
    try:
        note = json.loads(_note(root, what).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(note["digest"]) if note.get("state") == state else None


def cache_folder(root: Path) -> Path:
    """Where what was fetched and made is kept, by digest."""
    return root / ".tidemill" / "cache" / "sources"


def _place(root: Path, digest: str, name: str) -> Path:
    return cache_folder(root) / digest[:2] / digest / Path(name.replace("\\", "/")).name


def _note(root: Path, what: object) -> Path:
    return cache_folder(root) / "notes" / f"{digest_value(what)}.json"
