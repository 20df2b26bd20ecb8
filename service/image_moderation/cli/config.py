"""`config`: prints the effective configuration."""

from image_moderation.cli.output import Json, note, plain, say, say_json
from image_moderation.domain.clock import DAY
from image_moderation.settings import Settings, milliseconds
from image_moderation.settings.environment import variable
from image_moderation.store.redis_store import kept_decided
from image_moderation.wiring import policy


def config(as_json: Json = False) -> None:
    """Print the effective configuration, one variable a line, secrets masked. `off` means unset.

    The last line is the hash of the policy that these settings make, as decisions and the metrics have it.
    """
    settings = Settings.load()
    effective = settings.effective()
    rule = policy(settings)
    if as_json:
        say_json(effective | {"policy": rule.hash})
        return
    for name, value in effective.items():
        say(f"{name}={'off' if value is None else plain(value)}")
    say(f"policy={rule.hash}")
    kept = kept_decided(rule, milliseconds(settings.block_retention))
    if kept > milliseconds(settings.block_retention):
        variable_name, days = variable("block_retention"), kept // DAY
        note(f"{variable_name}: decided images are remembered for {days} days, because reports may be late.")
