"""A terminal as standard input and error: what a person would see there, line by line."""

import os
import pty
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PART = re.compile(r"\x1b\[\??([0-9;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")


class Screen:
    """A screen, made of all that was written to a terminal."""

    def __init__(self) -> None:
        self.written = b""

    @property
    def lines(self) -> list[str]:
        """The lines that stand there at the end, without empty ones. Knows what rich needs of a terminal."""
        lines, row, column = [""], 0, 0
        for part in _PART.finditer(self.written.decode()):
            if part[0] == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif part[0] == "\r":
                column = 0
            elif part[2] == "A":
                row = max(0, row - int(part[1] or 1))
            elif part[2] == "K":
                lines[row] = ""
            elif part[2] is None:
                line = lines[row].ljust(column)
                lines[row] = line[:column] + part[0] + line[column + len(part[0]) :]
                column += len(part[0])
        return [line.rstrip() for line in lines if line.strip()]


@contextmanager
def terminal(answer: str = "") -> Iterator[Screen]:
    """Make standard input and error a terminal; type `answer` once something is asked there."""
    screen = Screen()
    ours, theirs = pty.openpty()

    def person() -> None:
        left = answer.encode()
        while True:
            try:
                screen.written += os.read(ours, 65_536)
            except OSError:  # Linux says so once nobody has the other side open
                return
            if left and b"[y/N] " in screen.written:
                os.write(ours, left)
                left = b""

    reading = threading.Thread(target=person, daemon=True)
    reading.start()
    stdin, stderr = sys.stdin, sys.stderr
    with os.fdopen(theirs) as sys.stdin, open(os.dup(theirs), "w") as sys.stderr:  # noqa: PTH123  # no path
        try:
            yield screen
        finally:
            sys.stderr.flush()
            given = sys.stdin, sys.stderr
            sys.stdin, sys.stderr = stdin, stderr
            for stream in given:
                stream.close()
            reading.join(10)
            os.close(ours)
