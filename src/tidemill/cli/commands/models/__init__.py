"""`tidemill models`: the registry on the command line, one module for each kind of thing that one does with it."""

from tidemill.cli.commands.models import card, comparing, describing, listing, moving
from tidemill.cli.commands.models.group import command

__all__ = ["card", "command", "comparing", "describing", "listing", "moving"]
