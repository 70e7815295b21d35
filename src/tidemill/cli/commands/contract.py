"""`tidemill contract infer|check|save|show|versions|diff|edit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from tidemill.cli.given import given, looking, named_tables, options_from, reading
from tidemill.cli.options import Setup, shared
from tidemill.cli.output import emit, moment, number, relative, table
from tidemill.cli.waiting import warned
from tidemill.core.errors import ContractError, NotFoundError, UsageError
from tidemill.data.contract import TableContract
from tidemill.data.contract_changes import contract_changes
from tidemill.data.contract_text import contract_from_file, contract_from_toml, contract_to_toml
from tidemill.data.contract_versions import ContractVersion, contract_versions, load_contract, save_contract
from tidemill.data.infer import inferred
from tidemill.data.types import Tabular
from tidemill.data.validate import RuleOutcome, Validated, validate
from tidemill.project import Project, open_project_store, use_project

#: What a quarantine can be written to.
_QUARANTINES = (".parquet", ".ndjson", ".jsonl")


@click.group(name="contract", help="Infer, check, version, compare and edit contracts of tables.")
def command() -> None:
    """Hold the subcommands."""


@command.command(name="infer", short_help="Write the contract that a table keeps.")
@click.argument("source", metavar="FILE|SOURCE")
@click.option("--name", help="What to call the contract (default: the file's or source's name).")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the TOML to this new file.")
@click.option("--distributions", is_flag=True, help="Compare later tables with the distributions of this one, too.")
@reading
@shared
def infer(
    setup: Setup, source: str, name: str | None, out: Path | None, pairs: Sequence[str], *, distributions: bool
) -> None:
    """Write the contract that a table (a file, a URI or a declared source) keeps, to be edited."""
    with looking(setup.project()) as project:
        frame = given(source, project, options=options_from(pairs)).table
        contract, left_out = inferred(frame, name or Path(source).stem, distributions=distributions)
    text = contract_to_toml(contract, left_out)
    if out is not None:
        _write(out, text)
    if setup.json:
        emit({"status": "inferred", "contract": contract.to_dict(), "left_out": left_out, "out": out})
        return
    click.echo(text if out is None else f"wrote {relative(out)}", nl=out is not None)
    warned([f"left out as errors: {note}" for note in left_out.values()])


@command.command(name="check", short_help="Check a table; exit code 4 if a failing rule is broken.")
@click.argument("source", metavar="FILE|SOURCE")
@click.option(
    "--contract", "which", required=True, help="A TOML file (or JSON), or a saved contract: NAME or NAME@VERSION."
)
@click.option("--quarantine", type=click.Path(path_type=Path, dir_okay=False), help="Write bad rows, with reasons.")
@click.option("--reference", "references", multiple=True, metavar="NAME=FILE", help="A table of a foreign key.")
@reading
@shared
def check(
    setup: Setup, source: str, which: str, quarantine: Path | None, references: Sequence[str], pairs: Sequence[str]
) -> None:
    """Check a table (a file, a URI or a declared source); exit code 4 if a failing rule is broken."""
    if quarantine is not None and quarantine.suffix not in _QUARANTINES:
        hint = f"Give one of {', '.join(_QUARANTINES)}: reasons are lists."
        raise UsageError("this kind of file cannot hold the quarantine", value=quarantine.name, hint=hint)
    project = setup.project()
    with use_project(project):
        contract = _contract(project, which)
        tables = {name: given(what, project).table for name, what in named_tables("--reference", references).items()}
        frame = given(source, project, options=options_from(pairs)).table
        try:
            checked, failure = validate(frame, contract, tables), None
        except ContractError as error:
            # What can be said of the rows is said first; a table of the wrong shape has nothing to say.
            checked, failure = _unfailing(frame, contract, tables, error), error
    if quarantine is not None:
        _write_quarantine(quarantine, checked)
    if setup.json:
        report = checked.report
        emit({
            "status": "failed" if failure else "kept", "contract": contract.name, "digest": report.contract_digest,
            "rows": report.rows, "valid": report.valid, "quarantined": report.quarantined,
            "outcomes": [outcome for outcome in report.outcomes if outcome.broken], "quarantine": quarantine,
        })  # fmt: skip
    else:
        _show(checked)
        if quarantine is not None:
            click.echo(f"wrote {relative(quarantine)} ({checked.quarantined.height:,} rows)")
    if failure is not None:
        raise failure


@command.command(name="save", short_help="Keep a contract in the store, as its next version.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@shared
def save(setup: Setup, file: Path) -> None:
    """Keep the contract in FILE (TOML) in the project's store, as the next version of its name."""
    project = setup.project()
    with use_project(project):
        version = save_contract(contract_from_file(file), store=open_project_store(project))
    _saved(setup, version)


@command.command(name="show", short_help="Print a contract as TOML.")
@click.argument("which")
@shared
def show(setup: Setup, which: str) -> None:
    """Print a contract as TOML: NAME, NAME@VERSION or a file."""
    project = setup.project()
    with use_project(project):
        contract = _contract(project, which)
    if setup.json:
        emit({"status": "found", "contract": contract.to_dict()})
    else:
        click.echo(contract_to_toml(contract), nl=False)


@command.command(name="versions", short_help="List the versions of a contract, or all contracts.")
@click.argument("name", required=False)
@shared
def versions(setup: Setup, name: str | None) -> None:
    """List the versions of a contract: who saved them, when, and what changed; without NAME, every contract."""
    with use_project(setup.project()):
        found = contract_versions(name, store=setup.store())
    if setup.json:
        for version in found:
            emit({"contract": version})
        emit({"status": "listed", "count": len(found)})
        return
    rows = [
        (f"{item.name}@{item.version}", moment(item.created_at), item.by, item.digest[:12], "; ".join(item.changes))
        for item in found
    ]
    click.echo(table(["contract", "saved", "by", "digest", "changed"], rows) if rows else "no contract is saved yet")


@command.command(name="diff", short_help="Show where one contract is stricter than another.")
@click.argument("first")
@click.argument("second")
@shared
def diff(setup: Setup, first: str, second: str) -> None:
    """Show where SECOND is stricter or laxer than FIRST: files, NAME or NAME@VERSION."""
    project = setup.project()
    with use_project(project):
        changes = contract_changes(_contract(project, first), _contract(project, second))
    if setup.json:
        shown = [{"rule": item.rule, "effect": item.effect, "change": str(item)} for item in changes]
        emit({"status": "compared", "changes": shown})
        return
    click.echo("\n".join(map(str, changes)) or "they say the same")


@command.command(name="edit", short_help="Edit the newest version in $EDITOR, and save the next.")
@click.argument("name")
@shared
def edit(setup: Setup, name: str) -> None:
    """Open the newest version of a saved contract in $EDITOR; what is saved there becomes the next version."""
    project = setup.project()
    with use_project(project):
        before = contract_to_toml(load_contract(name, store=setup.store()))
        after = click.edit(before, extension=".toml")
        if after is None or after == before:
            raise UsageError("nothing was changed", hint="Save the file in the editor to make a new version.")
        contract = contract_from_toml(after)
        if contract.name != name:
            raise UsageError(
                "an edited contract keeps its name", value=contract.name, hint="Save another: tidemill contract save."
            )
        version = save_contract(contract, store=open_project_store(project))
    _saved(setup, version)


def _saved(setup: Setup, version: ContractVersion) -> None:
    if setup.json:
        emit({"status": "saved", "contract": version})
        return
    click.echo(f"{version.name} version {version.version}, {version.digest[:12]}")
    for change in version.changes:
        click.echo(f"    {change}")


def _contract(project: Project, which: str) -> TableContract:
    """A contract from a TOML file, or a saved one by name."""
    path = Path(which)
    if path.suffix in (".toml", ".json") or path.is_file():
        if not path.is_file():
            raise NotFoundError("there is no such file", value=which, hint="Give a TOML file or a saved contract.")
        return contract_from_file(path)
    name, at, version = which.rpartition("@")
    if at and not version.isdigit():
        raise UsageError("the version of a contract is a number", value=version, hint=f"Write {name}@1.")
    store = open_project_store(project)
    return load_contract(name, int(version), store=store) if at else load_contract(which, store=store)


def _unfailing(
    frame: Tabular, contract: TableContract, tables: Mapping[str, Tabular], error: ContractError
) -> Validated:
    try:
        return validate(frame, contract, tables, fail=False)
    except ContractError:
        raise error from None


def _show(checked: Validated) -> None:
    report = checked.report
    click.echo(report.headline)
    rows = [(item.severity, item.rule, item.broken, _examples(item)) for item in report.broken]
    if rows:
        click.echo(table(["severity", "rule", "broken", "such as"], rows))


def _examples(item: RuleOutcome) -> str:
    return ", ".join(number(value) if isinstance(value, int | float) else str(value) for value in item.examples)


def _write(out: Path, text: str) -> None:
    if out.exists():
        raise UsageError("the file exists", value=str(out), hint="Choose another name, or remove it.")
    out.write_text(text, encoding="utf-8")


def _write_quarantine(out: Path, checked: Validated) -> None:
    if out.suffix == ".parquet":
        checked.quarantined.write_parquet(out)
    else:
        checked.quarantined.write_ndjson(out)
