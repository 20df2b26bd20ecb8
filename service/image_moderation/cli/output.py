"""The output of commands: results on standard output, everything else on standard error.

Colours, tables and progress bars are for terminals; elsewhere lines are plain, and tabs separate the columns
of a table.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from image_moderation.domain.errors import StoreUnavailable, Unavailable

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


class WrongCall(Exception):
    """The arguments can't be used: exit 2, one line."""


class Failed(Exception):
    """The command failed: exit 1, one line."""


def plain(text: object) -> str:
    """Return `text` with control characters and line breaks escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def say(text: str) -> None:
    """Print a line of the result."""
    print(text, flush=True)


def say_json(value: Any) -> None:
    """Print the result for programs, indented so that people can read it too."""
    print(json.dumps(value, indent=2), flush=True)


def note(text: str) -> None:
    """Print a line for the person at the terminal, which is not part of the result."""
    _to_stderr(text, "dim")


def complain(text: str) -> None:
    """Print a line about a failure."""
    _to_stderr(text, "red")


def _to_stderr(text: str, style: str) -> None:
    Console(stderr=True).print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under headings."""
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
def progress(label: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
    """Show a bar on standard error if that is a terminal; call the value with each further progress."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda more: bar.advance(task, more)


def explain_outage(error: Unavailable) -> str:
    """Return one line about a server that can't be used."""
    which = "store" if isinstance(error, StoreUnavailable) else "broker"
    return f"the {which} is not available: {error}"


def encodable(text: str, argument: str) -> str:
    """Return `text`, the value of an argument.

    Raises:
        WrongCall: the shell passed bytes that are not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise WrongCall(f"{argument}: it is not UTF-8 text") from None
    return text


def prepare() -> None:
    """Make standard output accept any character, whatever the terminal's encoding."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
