"""The settings: one field for each variable, in the order of the configuration table."""

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from image_moderation.settings.certificates import faults, files_of
from image_moderation.settings.environment import Found, SettingsError, find, variable
from image_moderation.settings.fields import (
    KEY_BYTES,
    NAME,
    NAME_TAKES,
    Duration,
    address,
    check_key,
    duration,
    file,
    lower,
    make_consumer_name,
    matching,
    split_hosts,
    split_reasons,
    urls,
    whole,
)
from image_moderation.settings.values import format_duration
from image_moderation.urls import BROKER_SCHEMES, STORE_SCHEMES, add_files, scheme_of

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error", "critical"]
LogFormat: TypeAlias = Literal["json", "console"]
Mode: TypeAlias = Literal["live", "shadow"]


class Settings(BaseSettings):
    """The effective configuration. `load` makes one from an environment.

    A field's description is what its variable takes; errors quote it.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    broker_url: Annotated[SecretStr, address(BROKER_SCHEMES)] = Field(
        description=f"the broker's URL: {urls(BROKER_SCHEMES)}"
    )
    store_url: Annotated[SecretStr, address(STORE_SCHEMES)] | None = Field(
        None,
        description=f"the store's URL: {urls(STORE_SCHEMES)}; if unset, the broker's URL where that is Redis",
    )
    broker_ca: str | None = file("ca")
    broker_cert: str | None = file("cert")
    broker_key: str | None = file("key")
    store_ca: str | None = file("ca")
    store_cert: str | None = file("cert")
    store_key: str | None = file("key")
    store_min_replicas: int = whole(0, 0, 16)
    store_fsync: Annotated[Literal["on"], BeforeValidator(lower)] | None = Field(
        None, description="on or off"
    )
    block_threshold: int = whole(5, 1, 1_000)
    report_window: Duration = duration("30d", "1s", "3650d")
    # The store keeps a decided case never shorter than an open one; README says how long that is.
    block_retention: Duration = duration("365d", "1s", "36500d")
    immunity: Duration = duration("30d", "0s", "3650d")
    review_threshold: int | None = whole(None, 1, 999, ", below the block threshold")
    review_grace: Duration | None = duration(None, "1s", "365d")
    urgent_reasons: Annotated[tuple[str, ...], BeforeValidator(split_reasons)] = Field(
        (), description="reasons separated by commas, each 1 to 64 of a-z 0-9 . _ - (csam,terrorism)"
    )
    max_blocks_per_hour: int | None = whole(None, 1, 1_000_000)
    mode: Annotated[Mode, BeforeValidator(lower)] = Field("live", description="live or shadow")
    reporter_key: Annotated[SecretStr, AfterValidator(check_key)] | None = Field(
        None,
        description=(
            f"a secret of {KEY_BYTES[0]} to {KEY_BYTES[1]} bytes; if unset, one is made and kept in the store"
        ),
    )
    consumer_group: str = matching("image-moderation", NAME, NAME_TAKES)
    consumer_name: str = matching(make_consumer_name, NAME, NAME_TAKES)
    batch_size: int = whole(500, 1, 5_000)
    max_event_bytes: int = whole(65_536, 1_024, 1_048_576)
    max_deliveries: int = whole(10, 1, 1_000, "; keep it above 3: after 3 deliveries messages go one by one")
    dead_letter_retention: Duration = duration("30d", "1s", "36500d")
    dead_letter_max_bytes: int = whole(268_435_456, 1_048_576, 1_099_511_627_776)
    decision_retention: Duration | None = duration(None, "10m", "36500d")
    # No braces: they would move Redis Cluster's hash tag from the partition to the prefix.
    key_prefix: str = matching("moderation", r"^[A-Za-z0-9_.:-]{1,64}$", "1 to 64 of A-Z a-z 0-9 _ . : -")
    http_host: str = matching(
        "127.0.0.1", r"^[A-Za-z0-9_.:%-]{1,253}$", "an address or host name to listen on"
    )
    http_port: int = whole(8080, 0, 65_535, " (0 takes a free port)")
    http_allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(split_hosts)] = Field(
        (),
        description="host names without a port, separated by commas; *.name takes all below a name "
        "(moderation.example,*.pods.cluster.local)",
    )
    log_level: Annotated[LogLevel, BeforeValidator(lower)] = Field(
        "info", description="debug, info, warning, error or critical"
    )
    log_format: Annotated[LogFormat | None, BeforeValidator(lower)] = Field(
        None, description="json or console; if unset, console on a terminal and json elsewhere"
    )
    shutdown_timeout: Duration = duration("25s", "1s", "10m")

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
        for name, line in faults(found):
            found.errors.setdefault(name, line)
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
        broker = scheme_of(self.broker_url.get_secret_value())
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
        """The broker's URL, with its password, and with the files that variables name as its options."""
        return add_files(self.broker_url.get_secret_value(), files_of("broker", vars(self)))

    @property
    def store_address(self) -> str:
        """The same of the store: the broker's where none is set."""
        if self.store_url is None:
            return self.broker_address
        return add_files(self.store_url.get_secret_value(), files_of("store", vars(self)))

    @property
    def store_is_broker(self) -> bool:
        """True if one Redis is both, so that publishing and settling can be one step.

        Files decide how to connect, not where to.
        """
        return self.store_url is None or self.store_url == self.broker_url

    @property
    def reporter_key_bytes(self) -> bytes | None:
        """The configured key of the reporter digest, 16 to 64 bytes; None if the store keeps one."""
        return None if self.reporter_key is None else self.reporter_key.get_secret_value().encode()


SECRETS = ("broker_url", "store_url", "reporter_key")


def _line(found: Found, name: str, why: object) -> str:
    """Return the line about a field whose value can't be used; `why` is its parser's error, if any."""
    value = found.values.get(name)
    if value is None:
        got = "nothing"
    elif name in SECRETS:
        got = "a value that is not shown"
    else:
        got = ascii(value if len(value) <= 80 else value[:79] + "…")
    because = f" ({why})" if why is not None else ""
    takes = getattr(why, "takes", None) or Settings.model_fields[name].description
    return f"{found.name(name)}: got {got}{because}; takes {takes}"
