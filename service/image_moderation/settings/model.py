"""The settings: one field for each variable, in the order of the configuration table."""

import os
import re
import secrets
import socket
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from image_moderation.events.fields import REASON_PATTERN
from image_moderation.schemes import BROKER_SCHEMES, STORE_SCHEMES, scheme_of
from image_moderation.settings.environment import Found, SettingsError, find, variable
from image_moderation.settings.values import check_address, format_duration, mask_address, parse_duration

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]
LogFormat: TypeAlias = Literal["json", "console"]
Mode: TypeAlias = Literal["live", "shadow"]

KEY_BYTES = (16, 64)
"""Least and most bytes: a shorter key can be guessed, a longer one BLAKE2b refuses."""


def _whole(default: int | None, low: int, high: int, note: str = "") -> Any:
    return Field(default, ge=low, le=high, description=f"a whole number from {low:,} to {high:,}{note}")


def _duration(default: str | None, low: str, high: str) -> Any:
    takes = f"a duration from {low} to {high}, written 30d, 12h, 15m, 90s, 500ms or in ISO 8601 (P30D, PT12H)"
    value = None if default is None else parse_duration(default)
    return Field(value, ge=parse_duration(low), le=parse_duration(high), description=takes)


def _matching(default: Any, pattern: str, takes: str) -> Any:
    if callable(default):
        return Field(default_factory=default, pattern=pattern, description=takes)
    return Field(default, pattern=pattern, description=takes)


def _address(schemes: Collection[str]) -> AfterValidator:
    def check(url: SecretStr) -> SecretStr:
        check_address(url.get_secret_value(), schemes)
        return url

    return AfterValidator(check)


def _urls(schemes: Collection[str]) -> str:
    return " or ".join((", ".join(f"{name}://" for name in list(schemes)[:-1]), f"{list(schemes)[-1]}://"))


def _check_key(key: SecretStr) -> SecretStr:
    size = len(key.get_secret_value().encode())
    if not KEY_BYTES[0] <= size <= KEY_BYTES[1]:
        raise ValueError(f"it has {size:,} bytes")
    return key


def _reasons(text: object) -> object:
    """Split at commas, strip spaces, drop repeats."""
    if not isinstance(text, str):
        return text
    reasons = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for reason in reasons:
        if not re.fullmatch(REASON_PATTERN, reason):
            raise ValueError(f"{reason[:80]!a} is not a reason that a report can have")
    return reasons


def _lower(text: object) -> object:
    return text.lower() if isinstance(text, str) else text


def _consumer_name() -> str:
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:100]
    return f"{host or 'consumer'}-{secrets.token_hex(4)}"


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
_NAME = r"^[!-~]{1,128}$"
_NAME_TAKES = "1 to 128 printable ASCII characters without spaces"


class Settings(BaseSettings):
    """The effective configuration. `load` makes one from an environment.

    A field's description is what its variable takes; errors quote it.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    broker_url: Annotated[SecretStr, _address(BROKER_SCHEMES)] = Field(
        description=f"the broker's URL: {_urls(BROKER_SCHEMES)}"
    )
    store_url: Annotated[SecretStr, _address(STORE_SCHEMES)] | None = Field(
        None,
        description=f"the store's URL: {_urls(STORE_SCHEMES)}; unset, the broker's, where that is Redis",
    )
    block_threshold: int = _whole(5, 1, 1_000)
    report_window: Duration = _duration("30d", "1s", "3650d")
    block_retention: Duration = _duration("365d", "1s", "36500d")
    immunity: Duration = _duration("30d", "0s", "3650d")
    review_threshold: int | None = _whole(None, 1, 999, ", below the block threshold")
    review_grace: Duration | None = _duration(None, "1s", "365d")
    urgent_reasons: Annotated[tuple[str, ...], BeforeValidator(_reasons)] = Field(
        (), description="reasons with commas between them, each of 1 to 64 of a-z 0-9 . _ - : csam,terrorism"
    )
    max_blocks_per_hour: int | None = _whole(None, 1, 1_000_000)
    mode: Annotated[Mode, BeforeValidator(_lower)] = Field("live", description="live or shadow")
    reporter_key: Annotated[SecretStr, AfterValidator(_check_key)] | None = Field(
        None,
        description=(
            f"a secret of {KEY_BYTES[0]} to {KEY_BYTES[1]} bytes; unset, one is made and kept in the store"
        ),
    )
    consumer_group: str = _matching("image-moderation", _NAME, _NAME_TAKES)
    consumer_name: str = _matching(_consumer_name, _NAME, _NAME_TAKES)
    batch_size: int = _whole(500, 1, 5_000)
    max_event_bytes: int = _whole(65_536, 1_024, 1_048_576)
    max_deliveries: int = _whole(10, 1, 1_000, "; keep it above 3, from where messages go one by one")
    dead_letter_retention: Duration = _duration("30d", "1s", "36500d")
    decision_retention: Duration | None = _duration(None, "10m", "36500d")
    # No braces: they would move Redis Cluster's hash tag from the partition to the prefix.
    key_prefix: str = _matching("moderation", r"^[A-Za-z0-9_.:-]{1,64}$", "1 to 64 of A-Z a-z 0-9 _ . : -")
    http_host: str = _matching(
        "127.0.0.1", r"^[A-Za-z0-9_.:%-]{1,253}$", "an address or host name to listen on"
    )
    http_port: int = _whole(8080, 0, 65_535, " (0 takes a free port)")
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(
        "info", description="debug, info, warning, error or critical"
    )
    log_format: Annotated[LogFormat | None, BeforeValidator(_lower)] = Field(
        None, description="json or console; unset, console on a terminal and json elsewhere"
    )
    shutdown_timeout: Duration = _duration("25s", "1s", "10m")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # `load` reads the environment itself, because the library's source would overlook a mistyped name.
        return (init_settings,)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, *, embedded_url: str | None = None) -> Self:
        """Return the settings of `environ` (default: this process's).

        `embedded_url` is the URL of the broker that this process starts itself; MODERATION_BROKER_URL must
        then be unset.

        Raises:
            SettingsError: with a line for each variable at fault.
        """
        found = find(os.environ if environ is None else environ, cls.model_fields, SECRETS)
        if embedded_url is not None:
            if "broker_url" in found.values or "broker_url" in found.errors:
                found.errors["broker_url"] = (
                    f"{variable('broker_url')}: is set together with --embedded, "
                    "which starts its own broker; takes one of the two"
                )
            found.values["broker_url"] = embedded_url
        settings: Self | None = None
        try:
            settings = cls(**found.values)  # type: ignore[arg-type]  # pydantic makes each text what it should be
        except ValidationError as error:
            for fault in error.errors(include_url=False, include_input=False):
                name = str(fault["loc"][0])
                found.errors.setdefault(name, _line(found, name, fault.get("ctx", {}).get("error")))
        if settings is not None:
            found.errors = dict(settings._contradictions()) | found.errors
        if settings is None or found.errors:
            unknown = [line for name, line in found.errors.items() if name not in cls.model_fields]
            raise SettingsError(
                unknown + [found.errors[name] for name in cls.model_fields if name in found.errors]
            )
        return settings

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        """Yield each field that contradicts another, with its line."""
        broker = scheme_of(self.broker_address)
        if self.store_url is None and not broker.store:
            line = f"got nothing, but the broker ({broker.name}://) can't be the store"
            takes = type(self).model_fields["store_url"].description
            yield "store_url", f"{variable('store_url')}: {line}; takes {takes}"
        threshold, reasons = variable("review_threshold"), variable("urgent_reasons")
        if self.review_threshold is not None and self.review_threshold >= self.block_threshold:
            blocks = f"{variable('block_threshold')} ({self.block_threshold})"
            line = f"got {self.review_threshold}, which is not below {blocks}; takes fewer, or off"
            yield "review_threshold", f"{threshold}: {line}"
        if self.review_grace is not None and self.review_threshold is None and not self.urgent_reasons:
            line = f"got {format_duration(self.review_grace)}, but no setting asks for a review"
            takes = f"set {threshold} or {reasons} too, or this one off"
            yield "review_grace", f"{variable('review_grace')}: {line}; {takes}"

    @property
    def broker_address(self) -> str:
        """The broker's URL, with its password."""
        return self.broker_url.get_secret_value()

    @property
    def store_address(self) -> str:
        """The store's URL, with its password: the broker's where none is set."""
        return (self.store_url or self.broker_url).get_secret_value()

    @property
    def store_is_broker(self) -> bool:
        """True if one Redis is both, so that publishing and settling can be one step."""
        return self.store_address == self.broker_address

    @property
    def reporter_key_bytes(self) -> bytes | None:
        """The configured key of the reporter digest, 16 to 64 bytes; None if the store keeps one."""
        return None if self.reporter_key is None else self.reporter_key.get_secret_value().encode()

    def effective(self) -> dict[str, str | int | None]:
        """Return every variable's value as the environment takes it, secrets masked; None is unset."""
        shown: dict[str, str | int | None] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, timedelta):
                value = format_duration(value)
            elif isinstance(value, tuple):
                value = ",".join(value) or None
            elif isinstance(value, SecretStr):
                value = "***" if name == "reporter_key" else mask_address(value.get_secret_value())
            shown[variable(name)] = value
        return shown | {variable("store_url"): mask_address(self.store_address)}


SECRETS = ("broker_url", "store_url", "reporter_key")


def _line(found: Found, name: str, why: object) -> str:
    """Return the line about a field whose value can't be used; `why` is the error of a parser in `values`."""
    value = found.values.get(name)
    if value is None:
        got = "nothing"
    elif name in SECRETS:
        got = "a value that is not shown"
    else:
        got = ascii(value if len(value) <= 80 else value[:79] + "…")
    because = f" ({why})" if why is not None else ""
    return f"{found.name(name)}: got {got}{because}; takes {Settings.model_fields[name].description}"
