"""The kinds of fields that settings have: each checks a value, and describes what its variable takes."""

import re
import secrets
import socket
from collections.abc import Collection
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from image_moderation.events.fields import REASON_PATTERN
from image_moderation.settings.certificates import MEANINGS
from image_moderation.settings.values import parse_duration
from image_moderation.urls import parse

KEY_BYTES = (16, 64)
"""Least and most bytes: a shorter key can be guessed, a longer one BLAKE2b refuses."""

_HOST_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


def whole(default: int | None, low: int, high: int, note: str = "") -> Any:
    return Field(default, ge=low, le=high, description=f"a whole number from {low:,} to {high:,}{note}")


def duration(default: str | None, low: str, high: str) -> Any:
    takes = f"a duration from {low} to {high}, written 30d, 12h, 15m, 90s, 500ms or in ISO 8601 (P30D, PT12H)"
    value = None if default is None else parse_duration(default)
    return Field(value, ge=parse_duration(low), le=parse_duration(high), description=takes)


def matching(default: Any, pattern: str, takes: str) -> Any:
    if callable(default):
        return Field(default_factory=default, pattern=pattern, description=takes)
    return Field(default, pattern=pattern, description=takes)


def address(schemes: Collection[str]) -> AfterValidator:
    def check(url: SecretStr) -> SecretStr:
        parse(url.get_secret_value(), schemes)
        return url

    return AfterValidator(check)


def urls(schemes: Collection[str]) -> str:
    return " or ".join((", ".join(f"{name}://" for name in list(schemes)[:-1]), f"{list(schemes)[-1]}://"))


def file(end: str) -> Any:
    return Field(None, description=f"the path of a PEM file: {MEANINGS[end]}")


def check_key(key: SecretStr) -> SecretStr:
    size = len(key.get_secret_value().encode())
    if not KEY_BYTES[0] <= size <= KEY_BYTES[1]:
        raise ValueError(f"it has {size:,} bytes")
    return key


def split_reasons(text: object) -> object:
    """Split at commas, strip spaces, drop repeats."""
    if not isinstance(text, str):
        return text
    reasons = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for reason in reasons:
        if not re.fullmatch(REASON_PATTERN, reason):
            raise ValueError(f"{reason[:80]!a} is not a reason that a report can have")
    return reasons


def split_hosts(text: object) -> object:
    """Split at commas, strip spaces, drop repeats and the case."""
    if not isinstance(text, str):
        return text
    hosts = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    for host in hosts:
        if not _HOST_NAME.fullmatch(host):
            raise ValueError(f"{host[:80]!a} is not a host name")
    return hosts


def lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else text


def make_consumer_name() -> str:
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:100]
    return f"{host or 'consumer'}-{secrets.token_hex(4)}"


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
NAME = r"^[!-~]{1,128}$"
NAME_TAKES = "1 to 128 printable ASCII characters without spaces"
