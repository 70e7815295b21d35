"""Ask whoever writes segments to finish them: a file beside them, named by the moment from which new ones may go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from tidemill.core.ids import new_id
from tidemill.serving.log.files import listed

_SUFFIX = ".finish"


@contextmanager
def asking_to_finish(root: Path, model: str) -> Iterator[str]:
    """While the block runs, every writer of a model's log is asked to finish the segments that it has begun before.

    One at a time may ask.

    Yields
    ------
    str
        An identifier: segments with smaller names are the ones.
    """
    folder = root / f"model={quote(model, safe='')}"
    folder.mkdir(parents=True, exist_ok=True)
    for path in listed(folder, f"*{_SUFFIX}"):  # of somebody who died before it was over
        path.unlink(missing_ok=True)
    before = new_id()
    days = listed(folder, "day=*")
    while any(path.stem >= before for day in days for path in listed(day, "*.log")):  # begun in this very millisecond
        before = new_id()
    path = folder / f"{before}{_SUFFIX}"
    path.touch()
    try:
        yield before
    finally:
        path.unlink(missing_ok=True)


def requests_of(root: Path) -> Iterator[tuple[str, str]]:
    """Which models' segments are to be finished, and before which identifier they were begun."""
    # Asked twice a second: who cannot be heard here waits in vain, and is told so.
    for path in root.glob(f"model=*/*{_SUFFIX}"):
        yield unquote(path.parent.name.removeprefix("model=")), path.stem
