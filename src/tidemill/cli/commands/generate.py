"""`tidemill generate SPEC|TABLE`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import polars as pl

from tidemill.cli.given import given, looking, named_tables, options_from, reading
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, number, relative, size, table
from tidemill.cli.waiting import waiting
from tidemill.cli.written import write_whole, writer_of
from tidemill.core.errors import ConfigError, NotFoundError, UsageError
from tidemill.data.disturb import Injected, disturb
from tidemill.data.generate import generate, resample
from tidemill.data.generation.shapes import Reference, TableSpec
from tidemill.data.types import physical_type
from tidemill.project import Project

_FIRST = 4
_SPEC = ".toml"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the options say."""

    what: str
    rows: int | None
    seed: int
    name: str | None
    references: dict[str, str]
    jitter: float
    keys: tuple[str, ...]
    as_is: bool
    options: dict[str, Any]


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is made."""
    for option in reversed(
        (
            click.option("--rows", type=click.IntRange(min=0), metavar="N", help="How many rows."),
            click.option("--seed", type=int, default=0, metavar="S", help="Another one makes another table; 0."),
            click.option("--table", "name", metavar="NAME", help="Of a specification of several tables, this one."),
            click.option("--reference", "references", multiple=True, metavar="NAME=FILE",
                         help="A table that columns of a specification point into."),
            click.option("--jitter", type=click.FloatRange(min=0), default=0.0, metavar="SHARE",
                         help="Move the numbers of a real table by this share of their spread."),
            click.option("--keys", metavar="A,B,…", help="Columns of a real table that get new values."),
            click.option("--as-is", is_flag=True, help="Keep a real table's own rows, and only disturb them."),
            click.option("--disturb", "disturbances", type=click.Path(path_type=Path, dir_okay=False),
                         metavar="FILE.toml", help="What to break then: [[disturbances]] with kind, column, …"),
            reading,
        )
    ):  # fmt: skip
        function = option(function)
    return function


@click.command(name="generate")
@click.argument("what", metavar="SPEC|TABLE")
@_options
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="A .csv, .parquet or .ndjson file.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option("--dry-run", is_flag=True, help="Make it, show it, and write nothing.")
@shared
def command(
    setup: Setup, what: str, out: Path | None, disturbances: Path | None, *, force: bool, dry_run: bool, **asked: Any
) -> None:
    """Make a table: from a specification (SPEC.toml), or like a real one (a file, URI or declared source).

    The same seed makes the same table on every machine. What --disturb broke is said, disturbance by disturbance.
    """
    wanted = _Asked(
        what, asked["rows"], asked["seed"], asked["name"], named_tables("--reference", asked["references"]),
        asked["jitter"], _names(asked["keys"]), asked["as_is"], options_from(asked["pairs"]),
    )  # fmt: skip
    _check(wanted, out, force=force, dry_run=dry_run)
    faults = [] if disturbances is None else _disturbances(disturbances)
    with looking(setup.project()) as project, waiting(f"making {what}"):
        made = _from_spec(wanted, project) if _is_spec(what) else _from_table(wanted, project)
        broken = disturb(made, faults, seed=wanted.seed)
    if out is not None and not dry_run:
        write_whole(broken.table, out)
    written = None if dry_run else out
    if setup.json:
        for truth in broken.truth:
            emit({"disturbed": truth})
        emit(_summary(broken.table, wanted, written))
    else:
        _show(broken.table, broken.truth, written)


def _check(asked: _Asked, out: Path | None, *, force: bool, dry_run: bool) -> None:
    """Refuse what cannot be meant, before anything is made."""
    if out is None and not dry_run:
        raise UsageError("a made table needs a file", value=asked.what, hint="Name it with -o, or look with --dry-run.")
    if out is not None:
        writer_of(out)
        if out.exists() and not force and not dry_run:
            raise UsageError("the file exists", value=str(out), hint="Choose another -o, or replace it with --force.")
        if out.exists() and Path(asked.what).exists() and out.samefile(asked.what):
            raise UsageError("the made table would replace what it is made from", value=str(out))
    of_spec = {"--table": asked.name is not None, "--reference": bool(asked.references)}
    of_table = {
        "--jitter": asked.jitter > 0, "--keys": bool(asked.keys), "--as-is": asked.as_is,
        "--option": bool(asked.options),
    }  # fmt: skip
    spec = _is_spec(asked.what)
    for option in [name for name, is_given in (of_table if spec else of_spec).items() if is_given]:
        other = "a real table, and this is a specification" if spec else f"a specification, which ends in {_SPEC}"
        raise UsageError(f"{option} belongs to {other}", value=asked.what, hint=f"Leave {option} out.")
    if asked.as_is and (asked.rows is not None or asked.jitter or asked.keys):
        raise UsageError(
            "--as-is keeps the rows, and --rows, --jitter and --keys change them", hint="Leave out one or the other."
        )


def _is_spec(what: str) -> bool:
    return what.lower().endswith(_SPEC)


def _names(columns: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (columns or "").split(",") if name.strip())


def _toml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise NotFoundError("there is no file like that", value=str(file), hint="Give the path of a .toml file.")
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a TOML file: {error}", value=str(file)) from error


def _disturbances(file: Path) -> Sequence[Mapping[str, Any]]:
    raw = _toml(file)
    known = raw.get("disturbances")
    if set(raw) != {"disturbances"} or not isinstance(known, list) or not all(isinstance(it, dict) for it in known):
        hint = 'Write [[disturbances]] and, below it, kind = "nulls", columns = ["miles"], share = 0.1.'
        raise ConfigError("a file of disturbances holds a list of them and nothing else", value=str(file), hint=hint)
    return known


def _specs(file: Path) -> dict[str, TableSpec]:
    """The tables of a specification by name: several under ``[[tables]]``, or one alone."""
    raw = _toml(file)
    entries = raw["tables"] if set(raw) == {"tables"} and isinstance(raw["tables"], list) else [raw]
    found: dict[str, TableSpec] = {}
    for entry in entries:
        spec = TableSpec.from_dict({"name": file.stem, **entry})
        if spec.name in found:
            raise ConfigError("two tables of one name", value=spec.name, hint=f"Rename one in {file.name}.")
        found[spec.name] = spec
    if not found:
        raise ConfigError("a specification without a table", value=str(file), hint="Write [[tables]] and columns.")
    return found


def _from_spec(asked: _Asked, project: Project) -> pl.DataFrame:
    specs = _specs(Path(asked.what))
    name = asked.name if asked.name is not None else next(iter(specs), None) if len(specs) == 1 else None
    if name not in specs:
        words = (
            "names no table of the specification" if asked.name else "a specification of several tables needs a name"
        )
        raise UsageError(words, value=asked.name or asked.what, hint=f"Give --table {' or '.join(specs)}.")
    parents: dict[str, Any] = {key: given(what, project).table for key, what in asked.references.items()}
    return _made(specs, name, asked.rows, asked.seed, parents, ())


def _made(
    specs: Mapping[str, TableSpec],
    name: str,
    rows: int | None,
    seed: int,
    parents: dict[str, Any],
    path: tuple[str, ...],
) -> pl.DataFrame:
    """One table of several; those that it points into are made before, unless they were given."""
    if name in path:
        raise ConfigError("tables that point into each other cannot be made", value=" → ".join((*path, name)))
    pointed = {column.shape.table: column.name for column in specs[name].columns if isinstance(column.shape, Reference)}
    for other, column in pointed.items():
        if other not in parents and other not in specs:
            raise NotFoundError(
                f"column {column!r} of {name!r} points into a table that was not given",
                value=other,
                hint=f"Name its file: --reference {other}=FILE.",
            )
        if other not in parents:
            parents[other] = _made(specs, other, None, seed, parents, (*path, name))
    return generate(specs[name], rows, seed=seed, parents=parents)


def _from_table(asked: _Asked, project: Project) -> pl.DataFrame:
    real = given(asked.what, project, options=asked.options).table.collect()
    if asked.as_is:
        return real
    return resample(real, asked.rows, seed=asked.seed, jitter=asked.jitter, keys=asked.keys)


def _summary(made: pl.DataFrame, asked: _Asked, out: Path | None) -> dict[str, Any]:
    columns = {name: physical_type(kind) for name, kind in made.schema.items()}
    return {
        "status": "planned" if out is None else "succeeded", "rows": made.height, "columns": columns,
        "seed": asked.seed, "out": out, "exit_code": 0,
    }  # fmt: skip


def _show(made: pl.DataFrame, truth: Sequence[Injected], out: Path | None) -> None:
    first = {name: ", ".join(number(value) or "–" for value in made[name].head(_FIRST)) for name in made.columns}
    rows = [(name, physical_type(made.schema[name]), text) for name, text in first.items()]
    click.echo(table(["column", "type", "first values"], rows))
    if truth:
        struck = [
            (it.kind, ", ".join(it.columns), f"{it.rows:,}", it.added or None, it.removed or None) for it in truth
        ]
        click.echo("\n" + table(["disturbed", "in", "rows", "added", "removed"], struck,
                                right=["rows", "added", "removed"]))  # fmt: skip
    count = f"{made.height:,} rows × {made.width} columns"
    if out is None:
        click.echo(f"\n{count}; nothing was written")
    else:
        click.echo(f"\nwrote {relative(out)} ({count}, {size(out.stat().st_size)})")
