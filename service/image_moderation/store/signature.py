"""The order of a script's arguments and its constants: written once, in Python, for Python and the script."""

import re
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, get_origin, get_type_hints

from image_moderation.store.arguments import AsText
from image_moderation.store.formats import Constant

A = TypeVar("A", bound=tuple[Any, ...])

_READ = {
    int: "tonumber(ARGV[{n}])",
    int | None: "tonumber(ARGV[{n}])",  # an empty argument is nil
    bool: 'ARGV[{n}] == "1"',
    bytes: "ARGV[{n}]",
    str: "ARGV[{n}]",
    AsText: "ARGV[{n}]",
    AsText | None: "ARGV[{n}]",
}


class Signature(Generic[A]):
    """How a call sends the fields of a class from `arguments.py`, and how the script reads them."""

    def __init__(self, arguments: type[A]) -> None:
        self._flags: list[int] = []
        self._options: list[int] = []
        self.preamble = ""
        """Lua that declares a local of its name for each field. The last field may be a tuple: then the local
        `before_<field>` is the number of arguments before its first value.
        """
        for n, (name, kind) in enumerate(get_type_hints(arguments, include_extras=True).items(), 1):
            if get_origin(kind) is tuple:
                self.preamble += f"local before_{name} = {n - 1}\n"
                continue
            self.preamble += f"local {name} = {_READ[kind].format(n=n)}\n"
            if kind is bool:
                self._flags.append(n - 1)
            if kind in (int | None, AsText | None):
                self._options.append(n - 1)

    def values(self, arguments: A) -> list[Any]:
        """Return ARGV, as redis-py takes it. Runs for every call, so it looks at no field in vain."""
        values = list(arguments)
        for at in self._flags:
            values[at] = int(values[at])
        for at in self._options:
            if values[at] is None:
                values[at] = b""
        if isinstance(values[-1], tuple):
            values += values.pop()
        return values


def inline(text: str, constants: Mapping[str, Constant]) -> str:
    """Return `text` with each name of a constant replaced by its value.

    Constants are not locals as arguments are, because each local that a function uses costs time at every
    call of the script: as locals they made a call with one event a quarter slower.
    """
    names = "|".join(map(re.escape, constants))
    return re.sub(rf"\b({names})\b", lambda match: _literal(constants[match[0]]), text) if names else text


def _literal(value: Constant) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return "({ " + ", ".join(f"{name} = {number}" for name, number in value.items()) + " })"
    raw = value.encode() if isinstance(value, str) else value
    return '"' + "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\{c:03}" for c in raw) + '"'
