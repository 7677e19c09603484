"""A click group whose subcommands are imported when they are called, so that ``egress version`` costs no proxy."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import NamedTuple

import click


class Subcommand(NamedTuple):
    """Where a subcommand lives, and the line that lists of commands show for it."""

    module: str
    attribute: str
    help: str


class LazyGroup(click.Group):
    """A group that knows its subcommands by name, and their help, without importing them."""

    def __init__(self, name: str | None, subcommands: Mapping[str, Subcommand], **settings: object) -> None:
        super().__init__(name, **settings)  # type: ignore[arg-type]  # passed on as click takes them
        self._subcommands = subcommands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table: the order in which a user meets them."""
        return list(self._subcommands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the subcommand."""
        found = self._subcommands.get(cmd_name)
        if found is None:
            return None
        command: click.Command = getattr(importlib.import_module(found.module), found.attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand; the nearest one is named where there is none (click looks for it among imported ones)."""
        name = args[0]
        if name not in self._subcommands and name[:1].isalnum() and not ctx.resilient_parsing:
            # Imported here: most runs have no mistake to show.
            from difflib import get_close_matches

            near = get_close_matches(name, self._subcommands, n=1)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, found.help) for name, found in self._subcommands.items()])
