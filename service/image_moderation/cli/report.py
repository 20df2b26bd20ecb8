"""`report`: publishes a report or a retraction."""

from uuid import uuid4

from image_moderation.cli.output import encodable
from image_moderation.cli.send import send
from image_moderation.events.models import REPORTED_CHANNEL
from image_moderation.events.render import report_event
from image_moderation.settings import Settings
from image_moderation.wiring import clock

SOURCE = "/image-moderation/cli"


def run(
    image: str, reporter: str | None, reason: str | None, group: str | None, *, retract: bool, as_json: bool
) -> None:
    """Publish one report or retraction and print its event's id; without `reporter` by a fresh one."""
    settings = Settings.load()
    event_id, now = str(uuid4()), clock()
    body = report_event(
        event_id=event_id,
        source=SOURCE,
        time=now,
        image_id=encodable(image, "IMAGE"),
        reporter_id=str(uuid4()) if reporter is None else encodable(reporter, "--reporter"),
        reason=reason,
        group=None if group is None else encodable(group, "--group"),
        retract=retract,
    )
    send("report", settings, REPORTED_CHANNEL, event_id, image, body, as_json=as_json)
