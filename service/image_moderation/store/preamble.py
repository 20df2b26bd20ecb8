"""Turns the parts of a script into its text: arguments become local variables, constants become literals.

So each constant stands once, in Python, and the order of a script's ARGV is the order of one class's fields.
Constants are not locals as well, because each local that a function uses costs time at every call of the
script: as locals, they made a call with one event a quarter slower.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_origin, get_type_hints

from image_moderation.store.arguments import AsText
from image_moderation.store.formats import Constant

_READ = {
    int: "tonumber(ARGV[{n}])",
    int | None: "tonumber(ARGV[{n}])",  # an empty argument is nil
    bool: 'ARGV[{n}] == "1"',
    bytes: "ARGV[{n}]",
    str: "ARGV[{n}]",
    AsText: "ARGV[{n}]",
    AsText | None: "ARGV[{n}]",
}


def preamble(arguments: type[tuple[Any, ...]]) -> str:
    """Return Lua that declares one local for each field of `arguments`.

    The last field may be a tuple: then the local `before_<field>` is the number of arguments before its
    first value.
    """
    lines = []
    for n, (name, kind) in enumerate(get_type_hints(arguments, include_extras=True).items(), 1):
        if get_origin(kind) is tuple:
            lines.append(f"local before_{name} = {n - 1}\n")
        else:
            lines.append(f"local {name} = {_READ[kind].format(n=n)}\n")
    return "".join(lines)


def inline(text: str, constants: Mapping[str, Constant]) -> str:
    """Return `text` with each name of a constant replaced by its value."""
    names = "|".join(map(re.escape, constants))
    return re.sub(rf"\b({names})\b", lambda match: _literal(constants[match[0]]), text) if names else text


def flatten(arguments: tuple[Any, ...]) -> Iterator[bytes | str | int]:
    """Give the values of ARGV in order, as redis-py takes them."""
    for value in arguments:
        if isinstance(value, tuple):
            yield from value
        elif value is None:
            yield b""
        elif value is True or value is False:
            yield int(value)
        else:
            yield value


def _literal(value: Constant) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return "({ " + ", ".join(f"{name} = {number}" for name, number in value.items()) + " })"
    raw = value.encode() if isinstance(value, str) else value
    return '"' + "".join(chr(c) if 32 <= c < 127 and c not in b'"\\' else f"\\{c:03}" for c in raw) + '"'
