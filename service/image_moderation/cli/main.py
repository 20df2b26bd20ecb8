"""The `image-moderation` command: its subcommands, and the exit code of each kind of failure."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer
from typer.main import get_command

from image_moderation import __version__
from image_moderation.cli import dead_letters
from image_moderation.cli.blocked import blocked
from image_moderation.cli.config import config
from image_moderation.cli.contracts import contracts
from image_moderation.cli.forget import forget
from image_moderation.cli.inspect import inspect
from image_moderation.cli.output import Failed, WrongCall, complain, explain_outage, plain, prepare, say
from image_moderation.cli.report import report
from image_moderation.cli.republish import republish
from image_moderation.cli.review import review
from image_moderation.cli.serve import serve
from image_moderation.cli.watch import watch
from image_moderation.domain.errors import Misconfigured, Unavailable, Unsupported
from image_moderation.embedded import EmbeddedError
from image_moderation.settings import SettingsError

NAME = "image-moderation"
FAILURE, WRONG_CALL, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    # Typer's tracebacks would show the frames' variables, and so secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Blocks an image automatically once several people have reported it.",
    epilog="All settings are MODERATION_* environment variables; `image-moderation config` prints them. "
    "Exit codes: 0 done, 1 failed, 2 wrong call or unusable settings.",
)


def _example(text: str) -> str:
    return f"Example: {NAME} {text}"


app.command(epilog=_example("serve --embedded"))(serve)
app.command(epilog=_example("report img-42 --reporter user-7 --reason nudity"))(report)
app.command(epilog=_example("review img-42 --verdict cleared --moderator mod-3"))(review)
app.command(epilog=_example("watch --from-start --json"))(watch)
app.command(epilog=_example("inspect img-42"))(inspect)
app.command(epilog=_example("blocked --since 2h"))(blocked)
app.command(epilog=_example("republish --since 2026-11-23T10:00:00Z"))(republish)
app.command(epilog=_example("forget --image img-42"))(forget)
app.add_typer(dead_letters.app, name="dead-letters")
app.command(epilog=_example("config --json"))(config)
app.command(epilog=_example("contracts --write"))(contracts)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"{NAME} {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, this process's by default, and return its exit code."""
    prepare()
    try:
        code = get_command(app)(arguments, prog_name=NAME, standalone_mode=False)
    except typer.TyperException as error:
        _complain_of_call(error)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (WrongCall, SettingsError, Misconfigured, Unsupported, EmbeddedError) as error:
        _complain(error)
        return WRONG_CALL
    except Unavailable as error:
        complain(plain(explain_outage(error)))
        return FAILURE
    except Failed as error:
        _complain(error)
        return FAILURE
    return code if isinstance(code, int) else 0


def _complain(error: Exception) -> None:
    for line in str(error).splitlines():
        complain(plain(line))


def _complain_of_call(error: typer.TyperException) -> None:
    """Print one line, where Typer would draw a box; print nothing if the help was printed already."""
    message = " ".join(plain(error.format_message()).split())
    if message:
        context: typer.Context | None = getattr(error, "ctx", None)
        hint = f" See `{context.command_path} --help`." if context else ""
        complain(f"{message.rstrip('.')}.{hint}")


def main() -> NoReturn:
    """Run this process's command line and end the process."""
    code = run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the pipe has ended; the interpreter must not flush again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or FAILURE
    sys.exit(code)
