"""Values as people write them in an environment: durations and server addresses.

No error of this module contains the value, so errors about secrets may be printed too.
"""

import re
from collections.abc import Collection
from datetime import timedelta

from image_moderation.schemes import SCHEMES, Hosts

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_SHORT = re.compile(r"([0-9]{1,15})(ms|[smhd])")
# Years and months have no fixed length, so they are not taken; nothing finer than a millisecond is used.
_ISO = re.compile(
    r"P(?=[0-9T])(?:([0-9]{1,9})W)?(?:([0-9]{1,9})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9}(?:\.[0-9]{1,3})?)S)?)?"
)

_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\])(?::([0-9]{1,5}))?"
_HOST_AND_PORT = re.compile(_HOST)
_URL = re.compile(r"([a-z+]+)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?")


def parse_duration(text: object) -> timedelta:
    """Return the duration that `text` names: `30d`, `12h`, `15m`, `90s`, `500ms` or ISO 8601 (`PT1.5S`).

    A `timedelta` is returned as it is.

    Raises:
        ValueError: `text` is neither.
    """
    if isinstance(text, timedelta):
        return text
    if not isinstance(text, str):
        raise ValueError("not a duration")  # noqa: TRY004  # pydantic lets a TypeError through
    try:
        if match := _SHORT.fullmatch(text):
            return int(match[1]) * _UNITS[match[2]]
        if match := _ISO.fullmatch(text):
            weeks, days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
            return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        raise ValueError("too long") from None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError("without a unit")
    raise ValueError("not a duration")


def milliseconds(duration: timedelta) -> int:
    """Return `duration` in whole milliseconds, the unit of every time inside the service."""
    return duration // _UNITS["ms"]


def format_duration(duration: timedelta) -> str:
    """Return `duration` in the form that the environment takes, in the largest unit that is exact: `30d`."""
    for name, unit in _UNITS.items():
        if duration >= unit and not duration % unit:
            return f"{duration // unit}{name}"
    return f"{milliseconds(duration)}ms"


def check_address(url: str, schemes: Collection[str]) -> None:
    """Check that `url` is an address of one of `schemes` that a client can use.

    Strict about every part: otherwise a password with an unescaped `/`, `?`, `#` or `@` would end up in a
    part that is printed.

    Raises:
        ValueError: it is not.
    """
    match = _URL.fullmatch(url)
    if match is None and "://" not in url:
        raise ValueError("it is not a URL")
    if match is None or match[1] not in schemes:
        raise ValueError("its scheme is not supported here")
    name, netloc, path, _, fragment = match.groups()
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ValueError("it has spaces or control characters; write them as %20")
    if fragment is not None:
        raise ValueError("it has a '#'; in a password write %23")
    scheme = SCHEMES[name]
    _check_hosts(netloc.rpartition("@")[2], scheme.hosts)
    if not scheme.path.pattern.fullmatch(path):
        raise ValueError(scheme.path.error)


def _check_hosts(text: str, hosts: Hosts) -> None:
    if hosts is Hosts.NONE:
        if text:
            raise ValueError(
                "it names a host, but a socket has none: unix:///run/redis.sock has three slashes"
            )
        return
    for host in text.split(",") if hosts is Hosts.SEVERAL else [text]:
        if not host:
            raise ValueError("it names no host")
        match = _HOST_AND_PORT.fullmatch(host)
        if match is None or not 0 < int(match[1] or 1) < 65_536:
            raise ValueError(
                "its host or port is not valid; in a password write '/' as %2F, '@' as %40, '?' as %3F"
            )


def mask_address(url: str) -> str:
    """Return a checked `url` with its secrets masked: scheme, user, hosts and path stay.

    A user without a password is masked too, because it may be a token. So is the whole query, where redis-py
    also takes a password.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return "***"
    scheme, netloc, path, query, _ = match.groups()
    credentials, at, hosts = netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    shown = f"{user}:***" if password and user else ":***" if password else "***" if user else credentials
    return f"{scheme}://{shown}{at}{hosts}{path}{'?***' if query else ''}"
