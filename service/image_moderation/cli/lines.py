"""The lines of a file, plain or compressed by gzip, or of standard input, as commands read them."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path

from image_moderation.cli.output import Failed, plain

CHUNK = 65_536
MOST_LINE = 4 * 1_048_576
"""Bytes of a line that are kept: four times the longest event that the service can be told to take."""
_GZIP = b"\x1f\x8b"
_STDIN = Path("-")


def size_of(file: Path) -> int | None:
    """Return the size of a file in bytes; None of standard input, of an empty file, and of a pipe.

    Raises:
        Failed: there is no such file.
    """
    with _readable(file):
        return None if file == _STDIN else file.stat().st_size or None


@contextmanager
def open_lines(
    file: Path, advance: Callable[[float], None] = lambda _: None
) -> Iterator[Iterator[list[bytes]]]:
    """Give whole lines as they come, so that a slow pipe is not held back until it ends.

    `advance` is told how many bytes of the file have been read.

    Raises:
        Failed: the file can't be read; the iterator raises it too.
    """
    with ExitStack() as stack:
        with _readable(file):
            raw = sys.stdin.buffer if file == _STDIN else stack.enter_context(file.open("rb"))
        yield _lines(file, raw, advance)  # type: ignore[arg-type]  # both are buffered readers


def _lines(file: Path, raw: BufferedReader, advance: Callable[[float], None]) -> Iterator[list[bytes]]:
    with _readable(file):
        source = gzip.GzipFile(fileobj=raw) if raw.peek(2).startswith(_GZIP) else raw
        counted = raw.seekable()
        parts: list[bytes] = []
        size = read = 0
        while chunk := source.read1(CHUNK):
            first, *others = chunk.split(b"\n")
            if size < MOST_LINE:
                parts.append(first)
                size += len(first)
            if others:
                yield [b"".join(parts), *others[:-1]]
                parts, size = [others[-1]], len(others[-1])
            if counted:
                advance(raw.tell() - read)
                read = raw.tell()
        if size:
            yield [b"".join(parts)]


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    name = "standard input" if file == _STDIN else plain(file)
    try:
        yield
    except OSError as error:
        raise Failed(f"{name}: can't be read: {error.strerror or error}") from None
    except (EOFError, zlib.error) as error:
        raise Failed(f"{name}: can't be read: {error}") from None
