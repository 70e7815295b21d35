"""The command line: parse, call a verb, show. In: arguments; out: a screen for people or JSON lines for machines.

Every command lives in a module of its own under `tidemill.cli.commands` and is loaded when it is called, so that
``tidemill --help`` imports no stage.
"""

from tidemill.cli.app import main

__all__ = ["main"]
