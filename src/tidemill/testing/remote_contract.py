"""What every remote file system must do as a source: checks that raise AssertionError, for our clients and for yours.

>>> import fsspec
>>> from functools import partial
>>> system = fsspec.filesystem("memory")
>>> place = Place(
...     "memory://of-the-docs", {}, lambda path, data: system.pipe(f"/of-the-docs/{path}", data), vouches=False
... )
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     check_a_file_is_the_same_data_as_here(place, Path(folder))
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tidemill.core.errors import DataError, NotFoundError
from tidemill.data.read import resolve_source, scan_source
from tidemill.data.sources.source import ResolvedSource
from tidemill.testing.building import fails

__all__ = ["CHECKS", "Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """An empty folder on a file system.

    Parameters
    ----------
    uri
        Of the folder, without a slash at the end.
    storage_options
        As a source declares them.
    write
        Puts a file of this path in the folder, with this content, instead of what is there.
    vouches
        Whether the file system says of a file something that changes with its content: then one that did not change is
        not fetched again.
    """

    uri: str
    storage_options: Mapping[str, Any]
    write: Callable[[str, bytes], object]
    vouches: bool = True


def check_a_file_is_the_same_data_as_here(place: Place, root: Path) -> None:
    """The fingerprint is of the content: a copy of a local file is not new data, and its size is known."""
    place.write("same.csv", b"x\n1\n2\n")
    (root / "same.csv").write_bytes(b"x\n1\n2\n")
    there, here = _pin(place, root, "same.csv"), resolve_source("same.csv", root=root, sources={})
    assert there.fingerprint == here.fingerprint
    assert there.bytes == here.bytes == 6
    assert _values(there, root) == [1, 2]


def check_a_file_of_many_blocks_comes_whole(place: Place, root: Path) -> None:
    """A table of several megabytes has each of its rows."""
    table = pl.DataFrame({"x": pl.int_range(700_000, eager=True).shuffle(seed=1)})
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="uncompressed")
    assert buffer.getbuffer().nbytes > 3 << 20
    place.write("large.parquet", buffer.getvalue())
    assert scan_source(_pin(place, root, "large.parquet"), root=root).collect().equals(table)


def check_folders_globs_and_partitions(place: Place, root: Path) -> None:
    """Folders name columns; every file that matches is read, in order, and nothing that a writer hides."""
    for year in (2013, 2014):
        place.write(f"flights/year={year}/part-0.csv", b"x\n%d\n" % year)
        place.write(f"flights/year={year}/.part-0.csv.crc", b"crc")
    place.write("flights/_SUCCESS", b"")
    place.write("flights/_temporary/0/part-1.csv", b"x\n666\n")
    place.write("flights/year=2014/part-1.csv._COPYING_", b"x\n66")
    both = [(2013, 2013), (2014, 2014)]
    wanted = {
        "flights": both,
        "flights/": both,
        "flights/*/*.csv": both,
        "flights/**/*.csv": both,
        "flights/year=201?/part-[0-9].csv": both,
        "flights/year=2014": [(2014,)],
        "flights/year=2014/*": [(2014,)],
    }
    for path, expected in wanted.items():
        assert scan_source(_pin(place, root, path), root=root).collect().rows() == expected, path


def check_names_are_taken_as_they_are(place: Place, root: Path) -> None:
    """Spaces, letters of other alphabets and signs with a meaning in addresses are part of a name."""
    for number, name in enumerate(("a file.csv", "münchen.csv", "a+b&c=d,e.csv", "東京.csv")):
        place.write(f"names/{number}/{name}", b"x\n%d\n" % number)
        assert _values(_pin(place, root, f"names/{number}"), root) == [number], name
        assert _values(_pin(place, root, f"names/{number}/{name}"), root) == [number], name


def check_other_content_is_noticed(place: Place, root: Path) -> None:
    """A file that is written again is new data, even if it is as long; the old pin keeps the old bytes."""
    place.write("changed.csv", b"x\n1\n")
    first = _pin(place, root, "changed.csv")
    place.write("changed.csv", b"x\n2\n")
    second = _pin(place, root, "changed.csv")
    assert first.fingerprint != second.fingerprint
    assert (_values(first, root), _values(second, root)) == ([1], [2])
    place.write("changed.csv", b"x\n1\n")
    assert _pin(place, root, "changed.csv").fingerprint == first.fingerprint


def check_what_did_not_change_is_not_fetched_again(place: Place, root: Path) -> None:
    """A second look at the same file costs no second download where the file system vouches for it."""
    place.write("once.csv", b"x\n1\n")
    _pin(place, root, "once.csv")
    (copy,) = (root / ".tidemill").rglob("once.csv")
    first = copy.stat().st_ino, copy.stat().st_mtime_ns
    _pin(place, root, "once.csv")
    again = copy.stat().st_ino, copy.stat().st_mtime_ns
    assert (first == again) is place.vouches


def check_a_lost_copy_is_fetched_again_and_must_be_the_same(place: Place, root: Path) -> None:
    """What was pinned is what is read, or the change is said."""
    place.write("pinned.csv", b"x\n1\n")
    pinned = _pin(place, root, "pinned.csv")
    (copy,) = (root / ".tidemill").rglob("pinned.csv")
    copy.unlink()
    assert _values(pinned, root) == [1]
    copy.unlink()
    place.write("pinned.csv", b"x\n2\n")
    fails(DataError, lambda: scan_source(pinned, root=root), "changed after the run was planned")


def check_what_is_not_there_is_named(place: Place, root: Path) -> None:
    """A missing file, folder and glob without a match are errors that show the address."""
    place.write("there.csv", b"x\n1\n")
    for path in ("gone.csv", "gone/*.csv", "*/gone-*.csv"):
        fails(NotFoundError, lambda path=path: _pin(place, root, path), path)  # type: ignore[misc]


def _pin(place: Place, root: Path, path: str) -> ResolvedSource:
    raw = {"uri": f"{place.uri}/{path}", "storage_options": dict(place.storage_options)}
    return resolve_source("s", root=root, sources={"s": raw})


def _values(pinned: ResolvedSource, root: Path) -> list[Any]:
    return scan_source(pinned, root=root).collect()["x"].to_list()


#: Each takes an empty place and an empty local folder.
CHECKS: tuple[Callable[[Place, Path], None], ...] = (
    check_a_file_is_the_same_data_as_here,
    check_a_file_of_many_blocks_comes_whole,
    check_folders_globs_and_partitions,
    check_names_are_taken_as_they_are,
    check_other_content_is_noticed,
    check_what_did_not_change_is_not_fetched_again,
    check_a_lost_copy_is_fetched_again_and_must_be_the_same,
    check_what_is_not_there_is_named,
)
