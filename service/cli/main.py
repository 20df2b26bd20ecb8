"""The `image-moderation` command: its subcommands and how a failure ends."""

import typer

from service.cli.serve import serve

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Blocks an image automatically once several people have reported it.")
app.command()(serve)


@app.callback()
def _root() -> None:
    pass


def main() -> None:
    """Run the command line."""
    app()
