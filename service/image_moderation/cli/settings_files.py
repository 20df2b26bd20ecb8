"""`backtest --settings`: the settings of a replay, from a file or from this environment."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import parse_stream

from image_moderation.backtest.run import Setting
from image_moderation.cli.output import WrongCall, note, plain
from image_moderation.settings import Settings, SettingsError, milliseconds
from image_moderation.settings.certificates import CERTIFICATES
from image_moderation.settings.environment import PREFIX, variable
from image_moderation.settings.model import SECRETS
from image_moderation.store.redis_store import LATE_DELIVERY, kept_decided
from image_moderation.wiring import policy

ENVIRONMENT = "environment"
NOWHERE = "redis://localhost"
"""Stands for the broker, which a replay does not connect to."""


class Chosen(NamedTuple):
    """The settings of one replay."""

    setting: Setting
    max_event_bytes: int


def choose(given: Sequence[str]) -> list[Chosen]:
    """Return the settings that the values of `--settings` name; this environment's without one.

    Raises:
        WrongCall: a value, or a file's line, can't be used.
        SettingsError: a variable can't, as at the service's start.
    """
    chosen = [_choose(text) for text in given] or [_of(ENVIRONMENT, os.environ)]
    names = [one.setting.name for one in chosen]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise WrongCall(f"--settings: {plain(repeated)}: two have this name")
    return chosen


def _choose(text: str) -> Chosen:
    name, equals, file = text.partition("=")
    if not name or (equals and not file):
        raise WrongCall("--settings: takes NAME=FILE, or NAME alone for this environment's")
    if not equals:
        return _of(name, os.environ)
    try:
        return _of(name, _variables(Path(file)))
    except SettingsError as error:
        raise SettingsError([f"{plain(file)}: {line}" for line in str(error).splitlines()]) from None


def _of(name: str, environ: Mapping[str, str]) -> Chosen:
    """Check settings as the service does. A replay connects to nothing, so URLs, keys and certificates are
    left out.
    """
    left_out = {variable(secret) + end for secret in SECRETS for end in ("", "_FILE")}
    left_out |= {variable(name) for name in CERTIFICATES}
    used = {key: value for key, value in environ.items() if key not in left_out}
    settings = Settings.load(used, embedded_url=NOWHERE)
    rule = policy(settings)
    setting = Setting(
        name=name,
        policy=rule,
        keeps_open=rule.report_window + LATE_DELIVERY,
        keeps_decided=kept_decided(rule, milliseconds(settings.block_retention)),
    )
    return Chosen(setting, settings.max_event_bytes)


def _variables(file: Path) -> dict[str, str]:
    try:
        with file.open(encoding="utf-8") as lines:
            bindings = list(parse_stream(lines))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8 text"
        raise WrongCall(f"{plain(file)}: can't be read: {why}") from None
    found: dict[str, str] = {}
    for binding in bindings:
        if binding.error or (binding.key is not None and binding.value is None):
            # The line may hold a secret.
            raise WrongCall(f"{plain(file)}: line {binding.original.line}: takes NAME=value")
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    if others := sorted(name for name in found if not name.upper().startswith(PREFIX)):
        note(f"{plain(file)}: no variables of the service, so left out: {', '.join(map(plain, others))}")
    return found
