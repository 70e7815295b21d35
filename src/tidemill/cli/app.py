"""The entry point: a lazy group of commands, and one place where errors become a screen and an exit code.

Exit codes: 0 success; 1 a run failed; 2 wrong usage or configuration; 3 not found; 4 bad data; 5 a model problem;
6 a gate said no; 7 a store problem; 70 a defect in Tidemill; 130 interrupted.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

import tidemill
from tidemill.cli.output import as_error_line
from tidemill.cli.table import COMMANDS, SECTIONS
from tidemill.core.errors import TidemillError

EXIT_DEFECT = 70
EXIT_INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"tidemill.cli.commands.{entry.module}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else " See: tidemill --help"
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections without importing any command."""
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in entries.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(tidemill.__version__, prog_name="tidemill", message="%(prog)s %(version)s")
def cli() -> None:
    """Run the whole life of a machine-learning model: data, training, serving, monitoring, retraining.

    Every command takes --json (one JSON object per line, the last is the summary) and --debug (full traceback).
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with a documented code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug, as_json = "--debug" in arguments, "--json" in arguments
    try:
        code = cli.main(args=arguments, prog_name="tidemill", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except TidemillError as error:
        if debug:
            raise
        _fail(error, as_json=as_json, code=error.exit_code)
    except click.ClickException as error:
        _usage(error, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        _fail(error, as_json=as_json, code=EXIT_DEFECT)


def _usage(error: click.ClickException, *, as_json: bool) -> None:
    if as_json:
        click.echo(as_error_line("UsageError", error.format_message(), exit_code=error.exit_code))
    else:
        error.show()
    sys.exit(error.exit_code)


def _fail(error: BaseException, *, as_json: bool, code: int) -> None:
    kind = type(error).__name__
    if as_json:
        details: dict[str, Any] = {}
        if isinstance(error, TidemillError):
            details = {"what": error.what, "hint": error.hint}
        click.echo(as_error_line(kind, str(error), exit_code=code, **details))
    elif code == EXIT_DEFECT:
        click.echo(f"{click.style('defect', fg='red', bold=True)} {kind}: {error}", err=True)
        click.echo(
            "This is an error in Tidemill, not in your input. Run again with --debug for the traceback.", err=True
        )
    else:
        click.echo(f"{click.style('error', fg='red', bold=True)} {error}", err=True)
    sys.exit(code)
