"""Files of other machines and clouds, through fsspec: fetched once for each content that they have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tidemill.core.digests import digest_value
from tidemill.core.errors import ConfigError, DataError, NotFoundError, TidemillError
from tidemill.data.sources.cache import cached, keep, recall, receiving, remember
from tidemill.data.sources.listing import Info, listed
from tidemill.data.sources.schemes import Found, scheme_of
from tidemill.data.sources.shown import shown
from tidemill.project import reveal, reveal_all
from tidemill.store.file_systems import connect

#: What a store says of a file so that other bytes have another mark: alone enough, or only beside a time.
_VERSIONS = ("VersionId", "ETag", "etag", "generation", "fileId")
_TIMES = ("modificationTime", "modification_time")
#: What also tells that a file changed while it was read, though it does not vouch for the bytes.
_HINTS = ("Last-Modified", "LastModified", "last_modified", "mtime", "modify")
_TRIES = 3


def fetch(uri: str, root: Path, storage_options: Mapping[str, Any]) -> list[Found]:
    """Bring the files of a URI, a folder or a glob to this machine, and name them without secrets.

    What a store vouches for decides whether a file that is here already is fetched again: a version, a strong ETag, a
    generation, or the length and modification time that a NameNode keeps. Without one it always is. What tells data
    from other data is the digest of the content alone.

    Raises
    ------
    NotFoundError
        If there is no such file.
    MissingExtraError
        If the package for this scheme is not installed.
    DataError
        If the other side does not answer, refuses, or breaks off, or a file changes each time that it is read.
    """
    scheme = scheme_of(uri)
    try:
        system, base = _connected(uri, root, storage_options)
        system.invalidate_cache()
        files = listed(system, base, scheme)
        if not files:
            raise NotFoundError(
                "no file matches the source's uri",
                value=shown(uri),
                hint="Check the address, and that you may list it.",
            )
        how = digest_value([uri, dict(storage_options)])
        return [(_address(uri, base, path), _fetch(system, path, info, root, how)) for path, info in files.items()]
    except TidemillError:
        raise
    except FileNotFoundError as error:
        refused = _cause(error) if scheme in ("http", "https") else None
        if refused is not None:
            raise _failed(uri, refused) from None
        raise NotFoundError(  # the client's own message may hold the secrets of the address
            "there is no file at the source's uri", value=shown(uri), hint="Check the address, and your rights."
        ) from None
    except Exception as error:  # every file system has exceptions of its own, not all of them OSError
        raise _failed(uri, error) from None


def _connected(uri: str, root: Path, storage_options: Mapping[str, Any]) -> tuple[Any, str]:
    options = reveal_all(dict(storage_options), root=root)
    address = reveal(uri, root=root)
    try:
        return connect(address, f"reading {shown(uri)}", **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{shown(uri)} cannot be opened with these storage_options: {_words(error)}",
            value=sorted(storage_options),
            hint="Give what the file system of this scheme takes.",
        ) from None


def _address(uri: str, base: str, path: str) -> str:
    """Where a file is, in the words of the source's URI: those of a file system may differ, and show secrets."""
    if path == base or path.rstrip("/") == base.rstrip("/"):
        return shown(uri)
    fixed, inside = uri, base
    for sign in "*?[":
        fixed, inside = fixed.partition(sign)[0], inside.partition(sign)[0]
    if inside != base:  # a glob: down to the last folder before its first sign
        fixed, inside = fixed.rpartition("/")[0], inside.rpartition("/")[0]
    return f"{shown(fixed.rstrip('/'))}/{path.removeprefix(inside.rstrip('/')).lstrip('/')}"


def _fetch(system: Any, path: str, info: Info, root: Path, how: str) -> Path:
    name = PurePosixPath(shown(path).partition("?")[0]).name or "data"
    for _ in range(_TRIES):
        state = _state(info)
        digest = recall(root, [how, path], state) if state is not None else None
        here = cached(root, digest, name) if digest is not None else None
        if here is not None:
            return here
        with receiving(root) as temporary:
            system.get_file(path, str(temporary))
            system.invalidate_cache()
            after = system.info(path)
            if not _differ(info, after):
                _check_whole(path, temporary, after)
                here, digest = keep(root, temporary, name)
                if state is not None:
                    remember(root, [how, path], state, digest)
                return here
        info = after
    raise DataError(
        "a file changed each time that it was read",
        value=name,
        hint="Read it when nobody writes it, or have its writer rename it into place when it is whole.",
    )


def _state(info: Info) -> str | None:
    """The version of a file where the store vouches that other bytes have another one."""
    marks = _marks(info, (*_VERSIONS, *_TIMES))
    if not marks or any(mark.startswith("W/") for mark in marks.values()):
        return None
    return "|".join([*marks.values(), str(info.get("size"))])


def _marks(info: Info, names: tuple[str, ...]) -> dict[str, str]:
    # One and the same ETag comes with quotes from one call, and without from another.
    return {name.lower(): str(info[name]).strip('"') for name in names if info.get(name)}


def _differ(before: Info, after: Info) -> bool:
    names = (*_VERSIONS, *_TIMES, *_HINTS, "size")
    first, second = _marks(before, names), _marks(after, names)
    return any(first[name] != second[name] for name in first.keys() & second.keys())


def _check_whole(path: str, received: Path, info: Info) -> None:
    expected, here = info.get("size"), received.stat().st_size
    if expected is not None and expected != here and "url" not in info:  # of what is asked by HTTP, its client knows
        raise OSError(f"{PurePosixPath(path).name} broke off: {here} of {expected} bytes came")


def _cause(error: BaseException) -> BaseException | None:
    """What is behind a "not found" of fsspec's HTTP client if that is something else, such as nobody answering."""
    cause = error.__cause__
    if cause is None or isinstance(cause, FileNotFoundError) or getattr(cause, "status", None) in (404, 410):
        return None
    return cause


def _failed(uri: str, error: BaseException) -> DataError:
    status = getattr(error, "status", None)
    why = f"the server answers {status} {getattr(error, 'message', '')}".strip() if status else _words(error)
    hint = "Check the address, storage_options and your rights, then run again."
    if isinstance(error, PermissionError) or status in (401, 403):
        hint = "Check who you are to it (user, keys and tokens in storage_options), and that you may read it."
    return DataError(f"{shown(uri)} cannot be fetched: {why}", hint=hint)


def _words(error: BaseException) -> str:
    text = str(error).strip()
    return shown(text.splitlines()[0]) if text else type(error).__name__
