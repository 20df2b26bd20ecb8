"""Finds the service's variables in an environment: their names, not the rules of their values."""

import difflib
import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from image_moderation.domain.errors import Misconfigured
from image_moderation.urls import shown

PREFIX = "MODERATION_"
MOST_BYTES = 16_384
"""Of a file with a secret: a key has 64 bytes, and no URL is as long."""
_FILE = "_FILE"
# Kubernetes sets such variables in every container, for a Service called `moderation` or `moderation-…`.
_SERVICE_LINK = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_[0-9]+_(TCP|UDP)(_\w+)?)?)")


class SettingsError(Misconfigured):
    """The environment can't be used. `str` has a line for each variable at fault, and no secret."""

    def __init__(self, lines: Collection[str]) -> None:
        super().__init__("\n".join(lines))


@dataclass
class Found:
    """The values that an environment sets, by field."""

    values: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    """The variable that names the file, for fields whose value came from one."""
    errors: dict[str, str] = field(default_factory=dict)
    """The line about each field without a usable value, and about each unknown variable."""

    def name(self, field_name: str) -> str:
        """Return the variable of a field, for errors."""
        file = f" (from {self.files[field_name]})" if field_name in self.files else ""
        return variable(field_name) + file


def variable(field_name: str) -> str:
    """Return the variable of a field: `MODERATION_BLOCK_THRESHOLD` of `block_threshold`."""
    return PREFIX + field_name.upper()


def find(environ: Mapping[str, str], fields: Collection[str], secrets: Collection[str]) -> Found:
    """Return the values that `environ` sets for `fields`; those of `secrets` may be in files.

    `off` and empty mean unset. Names are case-sensitive: a name in another case is an unknown variable,
    because ignoring it would hide a mistake.
    """
    found = Found()
    known = {variable(name) for name in fields} | {variable(name) + _FILE for name in secrets}
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and name not in known:
            found.errors[name] = f"{ascii(name)[1:-1]}: unknown variable{_hint(name, known)}"
    for name in fields:
        value = _unless_off(environ, variable(name))
        path = _unless_off(environ, variable(name) + _FILE) if name in secrets else None
        if value is not None and path is not None:
            found.errors[name] = (
                f"{variable(name)}: is set together with {variable(name)}_FILE; takes one of the two"
            )
        elif value is not None:
            # A secret is not stripped: spaces may belong to it.
            found.values[name] = value if name in secrets else value.strip()
        elif path is not None:
            _read(found, name, path)
    return found


def _unless_off(environ: Mapping[str, str], name: str) -> str | None:
    value = environ.get(name)
    return None if value is None or value.strip().lower() in ("", "off") else value


def _read(found: Found, name: str, path: str) -> None:
    """Read a secret from a file, without the newline that editors put at its end."""
    # The value may be the secret itself, put here by mistake; a log must not show it.
    got = shown(path)
    takes = "takes the path of a file that holds the value"
    try:
        value = _content(Path(path)).decode()
    except _NotASecret as error:
        found.errors[name] = f"{variable(name)}_FILE: got {got}, which {error}; {takes}"
    except UnicodeDecodeError:
        found.errors[name] = f"{variable(name)}_FILE: got {got}, which is not UTF-8 text; {takes}"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        found.errors[name] = f"{variable(name)}_FILE: got {got}, which can't be read ({why}); {takes}"
    else:
        value = value.removesuffix("\n").removesuffix("\r")
        if value:
            found.values[name] = value
            found.files[name] = variable(name) + _FILE
        else:
            found.errors[name] = f"{variable(name)}_FILE: got {got}, which is empty; {takes}"


class _NotASecret(Exception):
    """The path names something else; `str` says what."""


def _content(path: Path) -> bytes:
    """Read a small regular file. No other is opened: a FIFO would wait for a writer, a device has no end."""
    if not stat.S_ISREG(path.stat().st_mode):
        kind = "a folder" if path.is_dir() else "a FIFO, a socket or a device"
        raise _NotASecret(f"is {kind}, not a regular file")
    # Not blocking: it may have become a FIFO meanwhile.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise _NotASecret(f"has more than {MOST_BYTES:,} bytes")
    return content


def _hint(name: str, known: Collection[str]) -> str:
    bare = {candidate.removeprefix(PREFIX): candidate for candidate in known}
    # Strict, because a wrong guess (BLOCK_THRESHOLD for REVIEW_THRESHOLD) is worse than none.
    close = difflib.get_close_matches(name.upper().removeprefix(PREFIX), bare, n=1, cutoff=0.8)
    if close:
        return f"; did you mean {bare[close[0]]}?"
    if _SERVICE_LINK.fullmatch(name):
        return " (it looks like a Kubernetes service link: set enableServiceLinks: false)"
    return "; this version has no variable of that name"
