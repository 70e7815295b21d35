"""What was fetched from elsewhere, kept on this machine by the digest of its content.

Nothing depends on it: a file that is gone is fetched again and must have the digest that was pinned.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from tidemill.core.digests import digest_value
from tidemill.data.sources.fingerprint import file_digest


def cached(root: Path, digest: str, name: str) -> Path | None:
    """The kept file of this digest, under a name that ends like `name`; None if it is not here or was altered."""
    path = _place(root, digest, name)
    return path if path.is_file() and file_digest(path)[1] == digest else None


def folder_of(root: Path, digest: str) -> Path:
    """Where things are kept that were made of the content of this digest."""
    return _folder(root) / digest[:2] / digest


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
    folder = made(_folder(root))
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
    made(path.parent)
    os.replace(received, path)  # noqa: PTH105 — atomic, over what is there
    return path, digest


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


def _folder(root: Path) -> Path:
    return root / ".tidemill" / "cache" / "sources"


def _place(root: Path, digest: str, name: str) -> Path:
    return _folder(root) / digest[:2] / digest / Path(name.replace("\\", "/")).name


def _note(root: Path, what: object) -> Path:
    return _folder(root) / "notes" / f"{digest_value(what)}.json"
