"""`dead-letters`: the messages that could not be understood: their arguments and help, as in `commands`."""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from image_moderation.cli.help import Command, Group
from image_moderation.cli.options import Json, Yes
from image_moderation.cli.output import NAME, WrongCall

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Messages that could not be parsed, and what to do with them.",
    epilog=f"Example: {NAME} dead-letters redrive --all",
)

_Ids = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="Dead letters, by the ids that `list` shows.")
]
_All = Annotated[bool, typer.Option("--all", help="All dead letters that there are now.")]
_ID = "3f2b8c1e-5d1a-5c55-9c0a-0d6f3f0f5a11"


def _command(name: str, example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return app.command(name, cls=Command, epilog=f"Example: {NAME} dead-letters {name} {example}")


@_command("list", "--json | jq -r .reason | sort | uniq -c")
def _list(as_json: Json = False) -> None:
    """List the dead letters, oldest first.

    Copies of one dead letter are listed once, with their count.
    """
    from image_moderation.cli.dead_letters.list import run

    run(as_json=as_json)


@_command("show", f"{_ID} --raw")
def _show(
    event_id: Annotated[
        str, typer.Argument(metavar="ID", help="A dead letter, by the id that `list` shows.")
    ],
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Show the body and the headers too; with --json the body is base64."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one dead letter.

    Its body and the values of its headers are masked unless --raw, because they may name people.
    """
    from image_moderation.cli.dead_letters.show import run

    run(event_id, raw=raw, as_json=as_json)


@_command("redrive", _ID)
def _redrive(ids: _Ids = None, everything: _All = False, as_json: Json = False) -> None:
    """Publish the messages again, and delete the dead letters.

    The original bytes and headers go to the original channel. A dead letter that keeps only the beginning of
    its message can't be redriven and stays.
    """
    from image_moderation.cli.dead_letters.redrive import run

    run(_named(ids, everything=everything, command="redrive"), as_json=as_json)


@_command("purge", "--all --yes")
def _purge(ids: _Ids = None, everything: _All = False, yes: Yes = False, as_json: Json = False) -> None:
    """Remove dead letters and their messages for good."""
    from image_moderation.cli.dead_letters.purge import run

    run(_named(ids, everything=everything, command="purge"), yes=yes, as_json=as_json)


def _named(ids: Sequence[str] | None, *, everything: bool, command: str) -> Sequence[str] | None:
    """Return the ids that a call names, or None for all.

    Raises:
        WrongCall: it names none, or both some and all.
    """
    if bool(ids) == everything:
        raise WrongCall(f"dead-letters {command}: name dead letters by ID, or take --all")
    return ids or None
