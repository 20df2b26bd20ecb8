"""Reads the URL of a server by the row of its scheme: the one parser of MODERATION_BROKER_URL and _STORE_URL.

Strict about every part. What is not used is refused, so that no wish, TLS above all, is dropped in silence;
and a password with an unescaped `/`, `?`, `#` or `@` would end up in a part that is printed. No error has a
value in it, except the path of a file. Imports `schemes`, `tls` and the standard library.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from image_moderation.urls.options import Option
from image_moderation.urls.schemes import SCHEMES, Hosts, Login, Scheme
from image_moderation.urls.tls import Tls

_URL = re.compile(r"([a-z+]+)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_HOST = re.compile(r"(?:([A-Za-z0-9._-]+)|\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?)\])(?::([0-9]{1,5}))?")
_NAME = re.compile(r"[A-Za-z_]{1,40}")
_ESCAPES = "in a password write '/' as %2F, '@' as %40, '?' as %3F, '%' as %25"
_NO_BROKER = (
    "a Redis Cluster can be the store alone: each stream is on one node, so an ack may outlive a dead letter "
    "that is on another"
)


@dataclass(frozen=True, slots=True)
class Url:
    """A checked URL in its parts, percent-decoded."""

    scheme: Scheme
    hosts: tuple[tuple[str, int], ...]
    """Host and port of each server; an IPv6 address without its brackets."""
    username: str | None
    password: str | None = field(repr=False)
    name: str
    """The path of a socket, the name of a primary, a virtual host, or empty."""
    database: int
    options: Mapping[str, Any] = field(repr=False)
    """Each option that is no part of the others, by its name, as `schemes` reads it."""
    tls: Tls | None
    """None where connections are in clear text."""

    @property
    def addresses(self) -> list[str]:
        """Each server as `host:port`."""
        return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts]


class UrlError(ValueError):
    """A URL can't be used: which part, and why."""

    def __init__(self, why: str, takes: str | None = None) -> None:
        """`takes` is what would be right, where that is more than the scheme."""
        super().__init__(why)
        self.takes = takes


def parse(text: str, schemes: Collection[str] = SCHEMES) -> Url:
    """Return the parts of `text`, a URL of one of `schemes`. Files that it names are not looked at.

    Raises:
        UrlError: it is none, or has a part that would not be used.
    """
    match = _URL.fullmatch(text)
    if match is None and "://" not in text:
        raise UrlError("it is not a URL")
    if match is not None and match[1] not in schemes and match[1] in ("redis+cluster", "rediss+cluster"):
        raise UrlError(_NO_BROKER)
    if match is None or match[1] not in schemes:
        raise UrlError("its scheme is not supported here")
    name, netloc, path, query, fragment = match.groups()
    scheme = SCHEMES[name]
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise UrlError("it has spaces or control characters; write them as %20")
    if fragment is not None:
        raise UrlError("it has a '#'; in a password write %23")
    credentials, _, hosts = netloc.rpartition("@")
    servers = _servers(hosts, scheme)
    if scheme.hosts is Hosts.SEVERAL and "@" in credentials:
        raise UrlError("it has more than one '@'", f"one user and password for all hosts; {_ESCAPES}")
    found = scheme.path.pattern.fullmatch(path)
    if found is None:
        raise UrlError("its path is not valid", f"for {name}:// a path that is {scheme.path.takes}")
    parts = {key: value for key, value in found.groupdict().items() if value is not None}
    username, colon, password = credentials.partition(":")
    values = _options(scheme, (query or "?")[1:])
    username = _once(values, "username", _decoded(username, "user") or None)
    password = _once(values, "password", _decoded(password, "password") if colon else None)
    database = _once(values, "db", int(parts["database"]) if "database" in parts else None)
    _check_login(scheme.login, username, password)
    _check_use(scheme, values, username)
    tls = {one.tls: values.pop(one.name) for one in scheme.options if one.tls and one.name in values}
    return Url(
        scheme,
        servers,
        username,
        password,
        _decoded(parts.get("name", ""), "path"),
        database or 0,
        MappingProxyType(values),
        Tls(**tls) if scheme.tls else None,
    )


def mask_address(text: str) -> str:
    """Return a checked URL with its secrets masked: scheme, user, hosts and path stay.

    A user without a password is masked too, because it may be a token. So is the whole query, which may hold
    a password.
    """
    match = _URL.fullmatch(text)
    if match is None:
        return "***"
    scheme, netloc, path, query, _ = match.groups()
    credentials, at, hosts = netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    shown = f"{user}:***" if password and user else ":***" if password else "***" if user else credentials
    return f"{scheme}://{shown}{at}{hosts}{path}{'?***' if query else ''}"


def _servers(text: str, scheme: Scheme) -> tuple[tuple[str, int], ...]:
    if scheme.hosts is Hosts.NONE:
        if text:
            raise UrlError("it names a host, but a socket has none: unix:///run/redis.sock has three slashes")
        return ()
    servers: list[tuple[str, int]] = []
    for host in text.split(",") if scheme.hosts is Hosts.SEVERAL else [text]:
        if not host:
            raise UrlError("it names no host")
        match = _HOST.fullmatch(host)
        port = int(match[3] or scheme.port) if match else 0
        if match is None or not 0 < port < 65_536:
            raise UrlError(f"its host or port is not valid; {_ESCAPES}")
        servers.append((match[1] or match[2], port))
    return tuple(servers)


def _decoded(text: str, part: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UrlError(f"its {part} has %-escapes that are not UTF-8") from None


def _options(scheme: Scheme, query: str) -> dict[str, Any]:
    """Return the value of each option."""
    if "@" in query:
        raise UrlError(f"it has a '@' after a '?'; {_ESCAPES}")
    known = {option.name: option for option in scheme.options}
    values: dict[str, Any] = {}
    for part in query.split("&") if query else ():
        name, equals, raw = part.partition("=")
        if name not in known:
            # Not a name that may be the rest of a password.
            shown = f"an option {name}" if equals and _NAME.fullmatch(name) else "an option"
            raise UrlError(f"it has {shown} that {scheme.name}:// does not take", _instead(scheme, name))
        if name in values:
            raise UrlError(f"it has its option {name} twice")
        try:
            values[name] = known[name].read(_decoded(raw, f"option {name}"))
        except UrlError:
            raise
        except ValueError:
            raise UrlError(f"its option {name} is not valid", takes(known[name])) from None
    return values


def takes(option: Option) -> str:
    return f"{option.name} with {option.takes}: {option.meaning.replace('`', '')}"


def _instead(scheme: Scheme, name: str) -> str:
    """Return what to write in place of an option that `scheme` doesn't have."""
    twin = scheme.over_tls
    if twin is not None and not scheme.tls and (name.startswith(("ssl", "tls")) or name.endswith("file")):
        return f"TLS by its scheme: {twin.name}://"
    if name == "db":
        return f"for {scheme.name}:// a path that is {scheme.path.takes}"
    if name in ("username", "user", "password"):
        return f"{scheme.login.value} before the '@'"
    names = ", ".join(option.name for option in scheme.options)
    return f"for {scheme.name}:// {f'the options {names}' if names else 'no options'}"


def _once(values: dict[str, Any], option: str, value: Any) -> Any:
    """Take a part that may stand in the query as well, but not in both."""
    other = values.pop(option, None)
    if value is not None and other is not None:
        raise UrlError(
            f"it has two values for {option}, one of them in its option {option}", "one of the two"
        )
    return other if value is None else value


def _check_login(login: Login, username: str | None, password: str | None) -> None:
    if login is Login.ANY:
        return
    if password and not username:
        raise UrlError("it has a password without a user", login.value)
    if username and not password and (login is Login.BOTH or password is not None):
        raise UrlError("it has a user without a password", login.value)


def _check_use(scheme: Scheme, values: Mapping[str, Any], username: str | None) -> None:
    """Refuse an option that another part makes useless."""
    verified = values.get("ssl_cert_reqs", True)
    for option in scheme.options:
        if option.name not in values:
            continue
        if option.needs and option.needs not in values and not (option.needs == "user" and username):
            raise UrlError(
                f"its option {option.name} would not be used", f"{option.needs} beside it, or neither"
            )
        if not verified and option.tls in ("authorities", "check_hostname"):
            raise UrlError(
                f"its option {option.name} would not be used, because ssl_cert_reqs is none", "one of the two"
            )
