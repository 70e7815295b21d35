"""Look at the files of a log: what cannot be read is an error that names it, never a log with fewer rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from os import scandir
from pathlib import Path

from tidemill.core.errors import StoreUnavailableError

_HINT = "Nothing is left out instead. Give this user the right to read it, or look at its disk, and try again."


def listed(folder: Path, pattern: str) -> list[Path]:
    """What a folder has with such names, sorted; nothing if there is no folder.

    Raises
    ------
    StoreUnavailableError
        When it is there and cannot be listed.

    Examples
    --------
    >>> listed(Path("/nowhere"), "*.log")
    []
    """
    try:
        with scandir(folder) as entries:
            return [folder / name for name in sorted(entry.name for entry in entries) if fnmatchcase(name, pattern)]
    except NotADirectoryError:
        return []
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not folder.is_symlink():
            return []
        problem = f"a folder of the prediction log cannot be listed: {error.strerror}"
        raise StoreUnavailableError(problem, value=str(folder.absolute()), hint=_HINT) from error


@contextmanager
def reading(shown: str) -> Iterator[None]:
    """While the block runs, a file is read; that it is gone is for the caller to know.

    Raises
    ------
    StoreUnavailableError
        When the system does not let it be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        problem = f"a file of the prediction log cannot be read: {error.strerror or error}"
        raise StoreUnavailableError(problem, value=shown, hint=_HINT) from error


def check_readable(path: Path) -> None:
    """Refuse a file that may not be read; one that is gone is none."""
    with suppress(FileNotFoundError), reading(str(path.absolute())):
        path.open("rb").close()


def contents(path: Path) -> bytes:
    """The bytes of a file; raises `FileNotFoundError` if it is gone."""
    with reading(str(path.absolute())):
        return path.read_bytes()
