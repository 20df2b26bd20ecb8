"""`dead-letters`: the messages that could not be understood: list, show, redrive, purge."""

import typer

from image_moderation.cli.dead_letters.list import list_dead_letters
from image_moderation.cli.dead_letters.purge import purge
from image_moderation.cli.dead_letters.redrive import redrive
from image_moderation.cli.dead_letters.show import show

app = typer.Typer(
    no_args_is_help=True,
    help="Messages that could not be understood: list, show, publish again, remove.",
    epilog="Example: image-moderation dead-letters redrive --all",
)

_EXAMPLE = "Example: image-moderation dead-letters"
_ID = "3f2b8c1e-5d1a-5c55-9c0a-0d6f3f0f5a11"

app.command("list", epilog=f"{_EXAMPLE} list --json | jq -r '.[].reason' | sort | uniq -c")(list_dead_letters)
app.command(epilog=f"{_EXAMPLE} show {_ID} --raw")(show)
app.command(epilog=f"{_EXAMPLE} redrive {_ID}")(redrive)
app.command(epilog=f"{_EXAMPLE} purge --all --yes")(purge)
