"""Packed fields of fixed width, in one notation for both sides: that of Lua's `struct`.

Integers are little-endian and unsigned. Python's `struct` has none of six bytes, so these are bytes there.
"""

import re
from collections.abc import Mapping
from struct import Struct

Constant = str | bytes | int | Mapping[str, int]
"""A value that the scripts know by a name; see `signature.inline`."""

_IN_PYTHON = {"B": "B", "I2": "H", "I4": "I", "I6": "6s", "c8": "8s"}


class Format:
    """The fields of one layout, such as `BI6c8`.

    B, I2, I4 and I6 are integers of 1, 2, 4 and 6 bytes; c8 is a text of 8 bytes.
    """

    __slots__ = ("lua", "python", "size")

    def __init__(self, fields: str) -> None:
        self.lua = "<" + fields
        self.python = Struct("<" + "".join(_IN_PYTHON[field] for field in re.findall(r"[A-Za-z]\d*", fields)))
        self.size = self.python.size
        """Bytes."""


def to_int(raw: bytes) -> int:
    """The integer in a field of six bytes."""
    return int.from_bytes(raw, "little")
