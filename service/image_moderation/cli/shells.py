"""`completion`: prints the script that completes the command in a shell.

The scripts are those of Typer, which parses the arguments, so no other library is needed. They call the
command at each TAB, so they never age.
"""

from enum import StrEnum

from image_moderation.cli.output import NAME, say


class Shell(StrEnum):
    """The shells that have a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


COMPLETE_VARIABLE = "_IMAGE_MODERATION_COMPLETE"
"""The variable by which a script asks for completions. Typer derives it from the command's name."""


def run(shell: Shell) -> None:
    """Print the script for `shell`."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # has no other place

    say(get_completion_script(prog_name=NAME, complete_var=COMPLETE_VARIABLE, shell=shell))
