"""Files, folders and bytes: what a step wrote itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tidemill.core.digests import digest_value
from tidemill.core.errors import MaterialiserError
from tidemill.core.records import INLINE_LIMIT, Artifact
from tidemill.engine.materialisers.archive import is_intact, pack, unpack
from tidemill.engine.materialisers.draft import Draft
from tidemill.engine.materialisers.plain import decode, encode
from tidemill.store.artifacts import ArtifactStore

_ROOM = "tidemill.engine.materialisers.files"


class PathMaterialiser:
    """Stores the file or the folder that a path names; loaded, it is a path to a copy that is only to be read.

    The digest of a file is that of its bytes and its suffix, since readers choose by that; the digest of a folder, that
    of the names and bytes in it.
    """

    type = "file"

    def save(self, value: Any, artifacts: ArtifactStore) -> Draft:
        """Store a file, or a folder as an archive."""
        path: Path = value
        if path.is_dir():
            with artifacts.writer() as writer, writer.path.open("wb") as target:
                digest, files = pack(path, target)
            metadata = {"name": path.name, "files": files}
            return Draft(
                digest, "folder", f"{_ROOM}:PathMaterialiser", writer.blob.size, None, writer.blob.digest, metadata
            )
        if not path.is_file():
            raise MaterialiserError(
                "a path names no file or folder that could be stored",
                value=str(path),
                hint="Return the path of something that the step has written; pass a path that need not exist as text.",
            )
        blob = artifacts.put_file(path)
        digest = digest_value(("file", path.suffix, blob.digest))
        return Draft(digest, "file", f"{_ROOM}:PathMaterialiser", blob.size, None, blob.digest, {"name": path.name})

    def load(self, artifact: Artifact | Draft, annotation: Any, artifacts: ArtifactStore) -> Path:
        """A path to the file under its own name, or to the folder."""
        path = artifacts.path(artifact.blob or "")
        if artifact.type == "folder":
            view = digest_value(("folder", artifact.blob))
            return artifacts.view(view, lambda folder: unpack(path, folder), lambda folder: is_intact(path, folder))
        name = Path(str(artifact.metadata.get("name") or "file")).name
        view = digest_value(("file", str(path), name))
        return artifacts.view(view, lambda folder: (folder / name).symlink_to(path)) / name


class BytesMaterialiser:
    """Stores bytes: inline up to 64 KiB of text, as a blob above."""

    type = "bytes"

    def save(self, value: Any, artifacts: ArtifactStore) -> Draft:
        """Store bytes."""
        digest, name = digest_value(bytes(value)), f"{_ROOM}:BytesMaterialiser"
        if len(value) <= INLINE_LIMIT * 3 // 4 - 64:
            text = json.dumps(encode(bytes(value)), separators=(",", ":"))
            return Draft(digest, "bytes", name, len(text), text)
        blob = artifacts.put(value)
        return Draft(digest, "bytes", name, blob.size, None, blob.digest)

    def load(self, artifact: Artifact | Draft, annotation: Any, artifacts: ArtifactStore) -> bytes:
        """The bytes."""
        if artifact.inline is None:
            return artifacts.read(artifact.blob or "")
        value: bytes = decode(json.loads(artifact.inline))
        return value
