"""`config`: prints the effective configuration."""

from image_moderation.cli.output import Json, plain, say, say_json
from image_moderation.settings import Settings


def config(as_json: Json = False) -> None:
    """Print the effective configuration, one variable a line, secrets masked. `off` means unset."""
    effective = Settings.load().effective()
    if as_json:
        say_json(effective)
        return
    for name, value in effective.items():
        say(f"{name}={'off' if value is None else plain(value)}")
