"""The `image-moderation` command: its subcommands, and the exit code of each kind of failure."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, NoReturn

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]  # has no other place
from typer.main import get_command

from image_moderation import __version__
from image_moderation.cli import commands, dead_letters
from image_moderation.cli.help import Command, Group
from image_moderation.cli.output import (
    NAME,
    Failed,
    WrongCall,
    complain,
    explain_outage,
    plain,
    prepare,
    say,
)
from image_moderation.domain.errors import Misconfigured, Unavailable, Unsupported

FAILURE, WRONG_CALL, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,  # `completion` prints the scripts, and changes no file
    rich_markup_mode=None,  # plain help is quicker, and can be searched
    # Typer's tracebacks would show the frames' variables, and so secrets.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Blocks an image automatically once several people have reported it.",
    epilog="All settings are MODERATION_* environment variables; `image-moderation config` prints them. "
    "Exit codes: 0 done, 1 failed, 2 wrong call or unusable settings.",
)


def _add(command: Callable[..., None], example: str, *, hidden: bool = False) -> None:
    app.command(cls=Command, hidden=hidden, epilog=f"Example: {NAME} {example}")(command)


_add(commands.serve, "serve --embedded")
_add(commands.report, "report img-42 --reporter user-7 --reason nudity")
_add(commands.review, "review img-42 --verdict cleared --moderator mod-3")
_add(commands.watch, "watch --from-start --json")
_add(commands.inspect, "inspect img-42")
_add(commands.blocked, "blocked --since 2h --limit 20")
_add(commands.republish, "republish --since 2026-11-23T10:00:00Z --dry-run")
_add(commands.forget, "forget img-42")
_add(
    commands.backtest, "backtest reports.jsonl.gz --settings now --settings strict=strict.env --differences 5"
)
_add(commands.config, "config --json")
_add(commands.completion, "completion bash > ~/.local/share/bash-completion/completions/image-moderation")
_add(commands.contracts, "contracts --write", hidden=True)
app.add_typer(dead_letters.app, name="dead-letters")


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
    completion_init()  # answers what the scripts of `completion` ask
    given = sys.argv[1:] if arguments is None else arguments
    tell = _tell_of_serve if given[:1] == ["serve"] else complain
    try:
        code = get_command(app)(arguments, prog_name=NAME, standalone_mode=False)
    except typer.TyperException as error:
        _complain_of_call(error, tell)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (WrongCall, Misconfigured, Unsupported) as error:
        _complain(error, tell)
        return WRONG_CALL
    except Unavailable as error:
        tell(plain(explain_outage(error)))
        return FAILURE
    except Failed as error:
        _complain(error, tell)
        return FAILURE
    return code if isinstance(code, int) else 0


def _tell_of_serve(text: str) -> None:
    from image_moderation.cli.serve import tell

    tell(text)


def _complain(error: Exception, tell: Callable[[str], None]) -> None:
    for line in str(error).splitlines():
        tell(plain(line))


def _complain_of_call(error: typer.TyperException, tell: Callable[[str], None]) -> None:
    """Print one line; for a call that names no command the help."""
    if type(error).__name__ == "NoArgsIsHelpError":  # Typer itself looks for its name
        say(error.format_message())
        return
    # An error of pydantic's, which is not imported for this alone.
    if (faults := getattr(error.__cause__, "errors", None)) is not None:
        from image_moderation.events.faults import explain

        error.message = explain(faults()[0])
    message = plain(" ".join(error.format_message().split()))
    context: typer.Context | None = getattr(error, "ctx", None)
    hint = f" See `{context.command_path} --help`." if context else ""
    end = "" if message.endswith("?") else "."
    tell(f"{message.rstrip('.')}{end}{hint}")


def main() -> NoReturn:
    """Run this process's command line and end the process."""
    code = run()
    try:
        sys.stdout.flush()
    except OSError:
        # Its reader has ended, or its disk is full; the interpreter must not flush again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = code or FAILURE
    sys.exit(code)
