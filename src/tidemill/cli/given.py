"""Tables that are named on the command line: a declared source, or a file, folder, glob or URI as seen from here."""

from __future__ import annotations

import difflib
import glob
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import polars as pl

from tidemill.core.errors import DataError, NotFoundError, UsageError
from tidemill.data.read import read, resolve_source
from tidemill.data.sources.pinning import find_source
from tidemill.data.sources.schemes import scheme_of
from tidemill.data.sources.shown import shown
from tidemill.data.sources.source import OPTIONS, Selection, Source
from tidemill.project import Project, use_project

_SETTINGS = ("format", "event_time")


@dataclass(frozen=True, slots=True)
class Given:
    """A table that was named, and what it is.

    Parameters
    ----------
    table
        Its rows, not read yet.
    bytes
        The size of its files; 0 where there are none.
    note
        Which rows of it `table` has, if those are not all; empty otherwise.
    """

    table: pl.LazyFrame
    bytes: int
    note: str = ""


@contextmanager
def looking(project: Project) -> Iterator[Project]:
    """Work on a project without leaving anything behind: a folder without ``tidemill.toml`` is not written to."""
    if project.file is not None:
        with use_project(project):
            yield project
    else:
        with TemporaryDirectory(prefix="tidemill-") as folder, use_project(replace(project, root=Path(folder))) as here:
            yield here


def source_named(what: str, project: Project, options: Mapping[str, Any] | None = None) -> Source:
    """The source that is meant: a declared one of this name comes first, then what is found from this folder.

    Raises
    ------
    NotFoundError
        If there is neither; it names what is written nearly the same.
    """
    meant = what if what in project.sources else Source(shown(what), _address(what, project))
    return find_source(meant, root=project.root, sources=project.sources, options=options)


def given(
    what: str,
    project: Project,
    *,
    options: Mapping[str, Any] | None = None,
    selection: Selection | None = None,
    sample: int | None = None,
) -> Given:
    """The table that is meant, and of it the rows and columns that are wanted; see `tidemill.data.read.read`."""
    wanted = selection or Selection()
    source = source_named(what, project, options)
    if source.event_time is None and what not in project.sources and (wanted.since or wanted.until):
        hint = "Name it: --option event_time=COLUMN."
        raise UsageError("since and until need the column of times of a table", value=what, hint=hint)
    resolved = resolve_source(source, root=project.root, sources=project.sources, selection=wanted)
    table = read(resolved, columns=wanted.columns, where=wanted.where, since=wanted.since, until=wanted.until)
    try:
        table.collect_schema()
    except pl.exceptions.PolarsError as error:
        hint = "Name one file, or a glob of files that are parts of one table."
        raise DataError(f"cannot be read as one table: {str(error).splitlines()[0]}", value=what, hint=hint) from error
    size = resolved.bytes
    return Given(table, size) if sample is None else Given(*_sampled(table, sample, size))


def _sampled(table: pl.LazyFrame, most: int, size: int) -> tuple[pl.LazyFrame, int, str]:
    """About `most` rows, spread over the table and in its order; which ones follows from their numbers alone."""
    rows = int(table.select(pl.len()).collect(engine="streaming").item())
    if rows <= most:
        return table, size, ""
    index = "row_number"
    while index in table.collect_schema():
        index = f"_{index}"
    number = pl.col(index).cast(pl.Int64)  # as it is stored, it is too short to be multiplied
    chosen = number * most // rows != (number + 1) * most // rows
    return table.with_row_index(index).filter(chosen).drop(index), size, f"a sample of {most:,} of {rows:,} rows"


def _address(what: str, project: Project) -> str:
    """Where that is: a URI as it is, a path as seen from this folder, or from the project's."""
    if "://" in what and scheme_of(what) != "file":
        return what
    path = Path(what.removeprefix("file://")).expanduser()
    here = Path.cwd() / path
    if here.exists() or glob.glob(str(here), recursive=True):  # noqa: PTH207 (absolute patterns)
        return str(here.relative_to(project.root) if here.is_relative_to(project.root) else here)
    there = project.root / path
    if there.exists() or glob.glob(str(there), recursive=True):  # noqa: PTH207
        return str(path)
    raise _nothing(what, here, project)


def _nothing(what: str, here: Path, project: Project) -> NotFoundError:
    beside = [item.name for item in here.parent.iterdir()] if here.parent.is_dir() else []
    near = difflib.get_close_matches(here.name, [*beside, *project.sources], n=1)
    declared = ", ".join(sorted(project.sources)) or "none"
    if near:
        hint = f"Did you mean {near[0]!r}?"
    else:
        hint = f"Give a path as seen from {Path.cwd()}, a URI, or a declared source (there are: {declared})."
    return NotFoundError("there is no file, folder or source like that", value=what, hint=hint)


def reading(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--option``, which says how a table is read; the function gets its values as `pairs` for `options_from`."""
    return click.option(
        "--option", "pairs", multiple=True, metavar="NAME=VALUE", help="How to read it, as separator=';'."
    )(function)


def options_from(pairs: Sequence[str]) -> dict[str, Any]:
    r"""``name=value`` pairs of ``--option`` as options of a source, in the types that those have.

    >>> options_from(["separator=;", "header=false", "null_values=NA", "null_values=-"])
    {'separator': ';', 'header': False, 'null_values': ['NA', '-']}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError("--option takes name=value", value=pair, hint="For example: --option separator=';'")
        if name not in OPTIONS and name not in _SETTINGS:
            near = difflib.get_close_matches(name, [*OPTIONS, *_SETTINGS], n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Options: {', '.join([*_SETTINGS, *OPTIONS])}."
            raise UsageError("a source has no option of this name", value=name, hint=hint)
        value = _option(name, text)
        found[name] = [*found[name], *value] if name in found and isinstance(value, list) else value
    return found


def _option(name: str, text: str) -> Any:
    kinds = OPTIONS.get(name, str)
    allowed = kinds if isinstance(kinds, tuple) else (kinds,)
    if list in allowed:
        if "," in text and not text.startswith("["):
            hint = f'Give --option {name}=… once for each, or a list: --option {name}=\'["NA", "n/a"]\'.'
            raise UsageError(f"--option {name} takes one value at a time, or a list", value=text, hint=hint)
        return _toml(name, text) if text.startswith("[") else [text]
    if str in allowed:
        return "\t" if text == r"\t" else text
    return _toml(name, text)


def _toml(name: str, text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        hint = 'Write it as in tidemill.toml: true, 100, ["NA"], {column = "int64"}.'
        raise UsageError(f"--option {name} cannot be read", value=text, hint=hint) from None


def named_tables(option: str, pairs: Sequence[str]) -> dict[str, str]:
    """``NAME=TABLE`` pairs of an option that can be given several times.

    >>> named_tables("--part", ["test=test.csv"])
    {'test': 'test.csv'}
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, what = pair.partition("=")
        if not equals or not name or not what:
            raise UsageError(f"{option} takes NAME=FILE", value=pair, hint=f"For example: {option} planes=planes.csv")
        found[name] = what
    return found
