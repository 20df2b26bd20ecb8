"""`review`: publishes a moderator's verdict."""

from typing import Annotated
from uuid import uuid4

import typer

from image_moderation.cli.output import Json, encodable
from image_moderation.cli.report import SOURCE
from image_moderation.cli.send import send
from image_moderation.domain.report import Verdict
from image_moderation.events.models import REVIEWED_CHANNEL
from image_moderation.events.render import review_event
from image_moderation.settings import Settings
from image_moderation.wiring import clock


def review(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image's id.")],
    verdict: Annotated[
        Verdict,
        typer.Option(
            help="`upheld` blocks the image; `cleared` unblocks it, and no report counts for a while."
        ),
    ],
    moderator: Annotated[
        str | None, typer.Option(metavar="ID", help="Who decided; it is checked and not stored.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Publish a moderator's verdict on IMAGE and print the event's id."""
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
