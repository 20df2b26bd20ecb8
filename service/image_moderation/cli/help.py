"""The help of the commands: without the Python types that Typer prints beside arguments, and at once."""

from typing import Any  # for what Typer has no public names

from typer.core import TyperArgument, TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command whose help names arguments as the usage line does."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options, each with its help."""
        params = self.get_params(ctx)
        arguments = [
            (one.display_name_raw, one.help or "") for one in params if isinstance(one, TyperArgument)
        ]
        others = (one.get_help_record(ctx) for one in params if not isinstance(one, TyperArgument))
        for title, rows in (("Arguments", arguments), ("Options", [row for row in others if row])):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Group(TyperGroup):
    """A group that doesn't import pydantic before it knows its command."""

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option with a default that needs no pydantic to be made a bool, as None does."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option
