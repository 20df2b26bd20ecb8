"""Values as people write them in an environment: durations and server addresses.

No error of this module holds the value it is about, so that it can be printed for a secret too.
"""

import re
from collections.abc import Collection
from datetime import timedelta

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

_ONE_HOST = re.compile(r"/?|/[0-9]{1,5}")
_NO_PATH = re.compile(r"/?")
_VIRTUAL_HOST = re.compile(r"(?:/[^/]*)?")
_PATHS = {
    "redis": _ONE_HOST,
    "rediss": _ONE_HOST,
    "unix": re.compile(r"/.*[^/]"),
    "redis+cluster": re.compile(r"/?|/0"),
    "redis+sentinel": re.compile(r"/[A-Za-z0-9._-]+(?:/[0-9]{1,5})?"),
    "kafka": _NO_PATH,
    "kafka+tls": _NO_PATH,
    "amqp": _VIRTUAL_HOST,
    "amqps": _VIRTUAL_HOST,
    "nats": _NO_PATH,
    "nats+tls": _NO_PATH,
}
_PATH_TAKES = {
    "redis": "its path must be empty or a database's number",
    "rediss": "its path must be empty or a database's number",
    "unix": "its path must be that of a socket: unix:///run/redis.sock",
    "redis+cluster": "a cluster has no databases, so its path must be empty",
    "redis+sentinel": "its path must be the name of the primary: redis+sentinel://h1,h2/name",
    "kafka": "its path must be empty",
    "kafka+tls": "its path must be empty",
    "amqp": "its path must be empty or a virtual host, with '/' in it as %2F",
    "amqps": "its path must be empty or a virtual host, with '/' in it as %2F",
    "nats": "its path must be empty",
    "nats+tls": "its path must be empty",
}
_SEVERAL_HOSTS = ("redis+cluster", "redis+sentinel", "kafka", "kafka+tls", "nats", "nats+tls")


def parse_duration(text: object) -> timedelta:
    """Return the duration that `text` names: `30d`, `12h`, `15m`, `90s`, `500ms` or ISO 8601 (`PT1.5S`).

    A `timedelta` passes as it is. Raises ValueError for anything else.
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
        raise ValueError("longer than any calendar") from None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError("without a unit")
    raise ValueError("not a duration")


def milliseconds(duration: timedelta) -> int:
    """Return `duration` in whole milliseconds, the unit of every time inside the service."""
    return duration // _UNITS["ms"]


def format_duration(duration: timedelta) -> str:
    """Return `duration` as it may be written in the environment, in the largest unit that is exact: `30d`."""
    for name, unit in _UNITS.items():
        if duration >= unit and not duration % unit:
            return f"{duration // unit}{name}"
    return f"{milliseconds(duration)}ms"


def check_address(url: str, schemes: Collection[str]) -> None:
    """Raise ValueError unless `url` is an address of one of `schemes` that a client can use.

    Strict about every part: a password with an unescaped `/`, `?`, `#` or `@` would else end up in
    a part that is printed.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError("it is not a URL" if "://" not in url else "its scheme is another")
    scheme, netloc, path, _, fragment = match.groups()
    if scheme not in schemes:
        raise ValueError("its scheme is another")
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ValueError("it has spaces or control characters; write them as %20")
    if fragment is not None:
        raise ValueError("it has a '#'; in a password write %23")
    hosts = netloc.rpartition("@")[2]
    if scheme == "unix":
        if hosts:
            raise ValueError(
                "it names a host, and a socket has none: unix:///run/redis.sock has three slashes"
            )
    else:
        _check_hosts(hosts.split(",") if scheme in _SEVERAL_HOSTS else [hosts])
    if not _PATHS[scheme].fullmatch(path):
        raise ValueError(_PATH_TAKES[scheme])


def _check_hosts(hosts: list[str]) -> None:
    for host in hosts:
        if not host:
            raise ValueError("it names no host")
        match = _HOST_AND_PORT.fullmatch(host)
        if match is None or not 0 < int(match[1] or 1) < 65_536:
            raise ValueError(
                "its host or port is none; in a password write '/' as %2F, '@' as %40, '?' as %3F"
            )


def mask_address(url: str) -> str:
    """Return a checked `url` without its secrets: scheme, user, hosts and path stay.

    A user without a password is masked as well (it may be a token), and so is the whole query, where
    redis-py takes a password too.
    """
    match = _URL.fullmatch(url)
    if match is None:
        return "***"
    scheme, netloc, path, query, _ = match.groups()
    credentials, at, hosts = netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    shown = f"{user}:***" if password and user else ":***" if password else "***" if user else credentials
    return f"{scheme}://{shown}{at}{hosts}{path}{'?***' if query else ''}"
