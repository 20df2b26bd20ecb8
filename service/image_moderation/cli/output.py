"""The output of commands: results on standard output, everything else on standard error.

Colours, tables and progress bars are for terminals; elsewhere lines are plain, and tabs separate the columns
of a table.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from image_moderation.domain.errors import StoreUnavailable, Unavailable
from image_moderation.domain.text import plain as plain  # noqa: PLC0414 - commands print through this module

if TYPE_CHECKING:
    from rich.console import Console

NAME = "image-moderation"


class WrongCall(Exception):
    """The arguments can't be used: exit 2, one line."""


class Failed(Exception):
    """The command failed: exit 1, one line."""


def say(text: str) -> None:
    """Print a line of the result.

    Raises:
        Failed: nothing can be written, as on a full disk.
        BrokenPipeError: the reader of the pipe has ended, which is no fault.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failed(f"standard output can't be written: {error.strerror}") from None


def say_json(value: Any) -> None:
    """Print the result for programs, indented so that people can read it too."""
    say(json.dumps(value, indent=2))


def say_json_line(value: Any) -> None:
    """Print one element of a list for programs: one a line, so that a long list can be read as it comes."""
    say(json.dumps(value))


def note(text: str) -> None:
    """Print a line for the person at the terminal, which is not part of the result."""
    _to_stderr(text, "dim")


def complain(text: str) -> None:
    """Print a line about a failure."""
    _to_stderr(text, "red")


_bars: list["Console"] = []
"""The console of the bar that is shown now, which prints lines above it."""


def _to_stderr(text: str, style: str) -> None:
    from rich.console import Console

    console = _bars[-1] if _bars else Console(stderr=True)
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under headings."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[plain(cell) for cell in row] for row in rows]
    console = Console()
    if not console.is_terminal:
        for line in (columns, *cells):
            say("\t".join(line))
        return
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for line in cells:
        drawn.add_row(*(Text(cell) for cell in line))
    console.print(drawn)


@contextmanager
def progress(
    label: str, total: float | None = None, *, shown: bool = True
) -> Iterator[Callable[[float], None]]:
    """Show a bar on standard error if that is a terminal; call the value with each further progress.

    `note` and `complain` print above the bar; nothing else may be printed to the terminal meanwhile.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # Redirecting would send the result of a command to standard error.
    with Progress(
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        task = bar.add_task(label, total=total)
        _bars.append(console)
        try:
            yield lambda more: bar.advance(task, more)
        finally:
            _bars.pop()


def explain_outage(error: Unavailable) -> str:
    """Return one line about a server that can't be used."""
    which = "store" if isinstance(error, StoreUnavailable) else "broker"
    return f"the {which} is not available: {error}"


def encodable(text: str, argument: str) -> str:
    """Return `text`, the value of an argument.

    Raises:
        WrongCall: it is empty, or the shell passed bytes that are not UTF-8.
    """
    if not text:
        raise WrongCall(f"{argument}: is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WrongCall(f"{argument}: it is not UTF-8 text") from None
    return text


def confirmation(what: str, *, yes: bool) -> Callable[[str], None]:
    """Return what asks a question on the terminal and raises Failed unless the answer is yes.

    With `yes` it asks nothing. `what` is the command and what it removes, for the error.

    Raises:
        WrongCall: there is no terminal to ask on.
    """
    if not (yes or (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty())):
        raise WrongCall(f"{what} for good, and there is no terminal to ask on; confirm with --yes")

    def ask(question: str) -> None:
        if yes:
            return
        # Typer's prompt would write a space to standard output, into the result.
        print(f"{plain(question)} [y/N] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer.endswith("\n"):
            print(file=sys.stderr)
        if answer.strip().lower() not in ("y", "yes"):
            raise Failed("nothing was removed")

    return ask


def prepare() -> None:
    """Make standard output accept any character, whatever the terminal's encoding."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
