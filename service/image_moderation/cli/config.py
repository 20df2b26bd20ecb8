"""`config`: prints the effective settings."""

from dataclasses import asdict

from image_moderation.cli.output import note, plain, say, say_json
from image_moderation.domain.clock import DAY
from image_moderation.settings import Settings, milliseconds
from image_moderation.settings.effective import effective
from image_moderation.settings.environment import variable
from image_moderation.store.redis_store import kept_decided
from image_moderation.wiring import policy

WIDTH = 60
"""Where the origins begin, beyond a longer line."""


def run(*, as_json: bool) -> None:
    """Print each variable with its value and its origin."""
    settings = Settings.load()
    found = effective(settings)
    rule = policy(settings)
    if as_json:
        say_json({name: asdict(one) for name, one in found.items()} | {"policy": rule.hash})
        return
    for name, one in found.items():
        line = f"{name}={'' if one.value is None else plain(one.value)}"
        say(f"{line:<{WIDTH}}  # {one.origin}{f': {one.meaning}' if one.meaning else ''}")
    say(f"{f'policy={rule.hash}':<{WIDTH}}  # the hash of the rules above, which decisions have too")
    kept = kept_decided(rule, milliseconds(settings.block_retention))
    if kept > milliseconds(settings.block_retention):
        variable_name, days = variable("block_retention"), kept // DAY
        note(f"{variable_name}: decided images are remembered for {days} days, because reports may be late.")
