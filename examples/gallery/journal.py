"""The log of a visitor's brigades, for the page and for live updates.

Imports only the standard library.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from examples.gallery.live import Hub


@dataclass(frozen=True, slots=True)
class Said:
    """A text by its key. The page formats times and durations among its values in the reader's language."""

    key: str
    values: Mapping[str, str | int | datetime | timedelta] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of an attack: how many, from one device or from many, at once or slowly."""

    number: int
    shared: bool
    slow: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the log, and its explanation."""

    at: datetime
    kind: Literal["attack", "blocked", "unblocked", "review", "verdict", "silent", "error"]
    what: Said
    why: tuple[Said, ...] = ()
    accounts: Accounts | None = None


class Journal:
    """The entries of one visitor, numbered from 1, so that a page can continue where it was."""

    _KEPT = 100

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        """Held during an attack."""
        self.last_attack: Mapping[str, str] | None = None
        """The form's fields of the last attack that was sent."""
        self._entries: list[tuple[int, Entry]] = []
        self._last = 0
        self.news: Hub[tuple[int, Entry]] = Hub()

    @property
    def last(self) -> int:
        return self._last

    def add(self, entry: Entry) -> None:
        self._last += 1
        self._entries.append((self._last, entry))
        del self._entries[: -self._KEPT]
        self.news.publish((self._last, entry))

    def entries(self, after: int = 0) -> list[tuple[int, Entry]]:
        return [numbered for numbered in self._entries if numbered[0] > after]
