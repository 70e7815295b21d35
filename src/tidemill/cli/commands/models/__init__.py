"""`tidemill models`: the registry on the command line, one module for each kind of thing that one does with it."""

from tidemill.cli.commands.models import archiving, card, comparing, describing, listing, moving
from tidemill.cli.commands.models.group import command

__all__ = ["archiving", "card", "command", "comparing", "describing", "listing", "moving"]
