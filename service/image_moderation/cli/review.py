"""`review`: publishes a moderator's verdict."""

from uuid import uuid4

from image_moderation.cli.output import encodable
from image_moderation.cli.report import SOURCE
from image_moderation.cli.send import send
from image_moderation.domain.report import Verdict
from image_moderation.events.models import REVIEWED_CHANNEL
from image_moderation.events.render import review_event
from image_moderation.settings import Settings
from image_moderation.wiring import clock


def run(image: str, verdict: Verdict, moderator: str | None, *, as_json: bool) -> None:
    """Publish a verdict and print its event's id."""
    settings = Settings.load()
    event_id, now = str(uuid4()), clock()
    body = review_event(
        event_id=event_id,
        source=SOURCE,
        time=now,
        image_id=encodable(image, "IMAGE"),
        verdict=verdict,
        moderator_id=None if moderator is None else encodable(moderator, "--moderator"),
    )
    send("review", settings, REVIEWED_CHANNEL, event_id, image, body, as_json=as_json)
