"""The entry point: a lazy group of commands, and one place where errors become a screen and an exit code.

Exit codes: 0 success; 1 a run failed; 2 wrong usage or configuration; 3 not found; 4 bad data; 5 a model problem;
6 a gate said no; 7 a store problem; 70 a defect in Tidemill; 130 interrupted.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

import tidemill
from tidemill.cli.output import as_error, claim_stdout, emit, is_read, public, silence
from tidemill.cli.table import COMMANDS, SECTIONS
from tidemill.core.errors import MissingExtraError, OutOfSpaceError, TidemillError, UsageError, shorten

EXIT_DEFECT = 70
EXIT_INTERRUPTED = 130
#: What the system says about a path that the user gave or may change.
_OF_PATHS = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENAMETOOLONG,
    }
)
_PATH_HINT = "Choose another, or change who may write there."


class ReaderGoneError(Exception):
    """Nobody reads standard output any more, as after ``tidemill runs | head -1``."""


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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing any command."""
        names = [
            CompletionItem(name, help=entry.help) for name, entry in COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command; Click would make a closed pipe an exit code of 1, and an EOFError an interruption."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if is_read():
                raise RuntimeError(f"a pipe was closed: {error}") from error
            raise ReaderGoneError from error
        except EOFError as error:
            raise RuntimeError(f"a file ended too early: {error}") from error

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
    if as_json:
        claim_stdout()
    try:
        code = cli.main(args=arguments, prog_name="tidemill", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        _usage(error, as_json=as_json)
    except (KeyboardInterrupt, click.Abort) as error:
        _interrupted(error, as_json=as_json)
    except (ReaderGoneError, BrokenPipeError):
        silence()
        sys.exit(0)
    except Exception as error:
        _fail(error, as_json=as_json, debug=debug)
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: click.ClickException, *, as_json: bool) -> NoReturn:
    if as_json:
        emit(as_error(error, error.exit_code, shown=error.format_message()))
    else:
        error.show()
    sys.exit(error.exit_code)


def _interrupted(error: BaseException, *, as_json: bool) -> NoReturn:
    if as_json:
        emit(as_error(error, EXIT_INTERRUPTED, shown="interrupted"))
    click.echo("interrupted", err=True)
    sys.exit(EXIT_INTERRUPTED)


def _fail(error: Exception, *, as_json: bool, debug: bool) -> NoReturn:
    """One screen, or one JSON line; with --debug the traceback as well. What is secret stays so."""
    named = explained(error)
    code = named.exit_code if isinstance(named, TidemillError) else EXIT_DEFECT
    if debug:
        click.echo(public("".join(traceback.format_exception(error))), err=True)
    if as_json:
        emit(as_error(named, code))
    elif isinstance(named, TidemillError):
        click.echo(public(f"{click.style('error', fg='red', bold=True)} {screen_of(named)}"), err=True)
    else:
        kind = type(named).__name__
        click.echo(public(f"{click.style('defect', fg='red', bold=True)} {kind}: {named}"), err=True)
        more = "" if debug else " Run again with --debug for the traceback."
        click.echo(f"This is an error in Tidemill, not in your input.{more}", err=True)
    sys.exit(code)


def screen_of(error: TidemillError) -> str:
    """The error as people read it: what happened and the value; below it what to do, then what else is known.

    >>> from tidemill.core.errors import UsageError
    >>> print(screen_of(UsageError("no such step", value="fti", hint="Did you mean 'fit'?")))
    no such step: 'fti'
      Did you mean 'fit'?
    """
    value = "" if error.value is None else f": {shorten(error.value)}"
    notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
    hint = f"\n  {error.hint}" if error.hint else ""
    details = f"\n{error.details}" if error.details else ""
    return f"{error.what}{value}{hint}{details}{notes}"


def explained(error: Exception) -> Exception:
    """A system's error about a path, or a package that an extra brings, is no defect: say what to do about it."""
    if isinstance(error, ModuleNotFoundError):
        extra = importlib.import_module("tidemill.cli.extras").extra_for(str(error))
        if extra is not None:
            return MissingExtraError(str(error.name).partition(".")[0], extra, purpose="This command")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutOfSpaceError("the disk is full", value=error.filename, hint="Free some space: tidemill gc")
    if isinstance(error, OSError) and error.errno in _OF_PATHS and error.filename is not None:
        problem = (error.strerror or type(error).__name__).lower()
        return UsageError(f"this path cannot be used: {problem}", value=str(error.filename), hint=_PATH_HINT)
    return error
