"""Groups of commands that cost nothing until one of them is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """A group with commands that are imported when they are asked for.

    Args:
        later: what these are for, by their names. The command NAME is the object `NAME` of the
            module `agentzero.cli.NAME`.
    """

    def __init__(self, *args: Any, later: Mapping[str, str], **options: Any) -> None:
        super().__init__(*args, **options)
        self._later = later

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), *self._later])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; import it where that is not done yet."""
        if cmd_name not in self._later:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(f"agentzero.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what all commands are for, without importing any."""
        here = {name: command.get_short_help_str(80) for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**here, **self._later}.items()))
