"""The effective settings as people read them: each value, and where it comes from."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from image_moderation.settings.certificates import CERTIFICATES, ENDS
from image_moderation.settings.environment import Found, find, variable
from image_moderation.settings.model import SECRETS, Settings
from image_moderation.settings.values import format_duration
from image_moderation.urls import mask_address, parse

DEFAULT, ENVIRONMENT = "default", "environment"
UNSET = {
    "broker_ca": "the system's authorities",
    "broker_cert": "none is shown",
    "broker_key": "none is needed",
    "store_ca": "the system's authorities",
    "store_cert": "none is shown",
    "store_key": "none is needed",
    "store_fsync": "a report is acked before the store's disk has it",
    "review_threshold": "no number of reporters asks for a review",
    "review_grace": "no block waits for a moderator",
    "urgent_reasons": "no reason is urgent",
    "max_blocks_per_hour": "no limit",
    "reporter_key": "made once, kept in the store",
    "decision_retention": "never trimmed",
    "http_allowed_hosts": "addresses, localhost, MODERATION_HTTP_HOST and the machine's name",
    "log_format": "console on a terminal, json elsewhere",
}
"""The meaning of a variable that has no default value and is unset."""


@dataclass(frozen=True, slots=True)
class Effective:
    """One variable."""

    value: str | int | None
    """As the environment takes it, secrets masked; None is unset."""
    origin: str
    """`environment`, `default`, or the other variable that gave the value."""
    meaning: str = ""
    """Words for a default that is no plain value."""


def effective(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[str, Effective]:
    """Return every variable of `settings`, which were loaded of `environ` (default: this process's)."""
    found = find(os.environ if environ is None else environ, type(settings).model_fields, SECRETS)
    shown: dict[str, Effective] = {}
    for name in type(settings).model_fields:
        value = _shown(name, getattr(settings, name))
        if name in found.files:
            shown[variable(name)] = Effective(value, found.files[name])
        elif name in found.values:
            shown[variable(name)] = Effective(value, ENVIRONMENT)
        elif name == "store_url":
            shown[variable(name)] = Effective(
                _shown(name, settings.store_url or settings.broker_url), variable("broker_url")
            )
        elif name in CERTIFICATES and (path := _file(settings, name)) is not None:
            shown[variable(name)] = Effective(path, _origin(settings, found, name))
        elif name == "consumer_name":
            shown[variable(name)] = Effective(value, DEFAULT, "another at each start")
        else:
            shown[variable(name)] = Effective(value, DEFAULT, UNSET.get(name, "") if value is None else "")
    return shown


def _file(settings: Settings, name: str) -> str | None:
    """Return a file that another variable gives."""
    side, _, end = name.partition("_")
    tls = parse(settings.broker_address if side == "broker" else settings.store_address).tls
    path: str | None = getattr(tls, ENDS[end], None)
    return path


def _origin(settings: Settings, found: Found, name: str) -> str:
    """Return the variable that gives it."""
    side, _, end = name.partition("_")
    if side == "store" and settings.store_url is None:
        if f"broker_{end}" in found.values:
            return variable(f"broker_{end}")
        side = "broker"
    return found.files.get(f"{side}_url", variable(f"{side}_url"))


def _shown(name: str, value: object) -> str | int | None:
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, tuple):
        return ",".join(value) or None
    if isinstance(value, SecretStr):
        return "***" if name == "reporter_key" else mask_address(value.get_secret_value())
    return value if isinstance(value, str | int) else None
