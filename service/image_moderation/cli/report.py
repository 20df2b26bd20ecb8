"""`report`: publishes a report, a retraction, or a file of reports."""

from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from image_moderation.cli.output import Json, WrongCall, encodable
from image_moderation.cli.report_file import report_file
from image_moderation.cli.send import send
from image_moderation.events.models import REPORTED_CHANNEL
from image_moderation.events.render import report_event
from image_moderation.settings import Settings
from image_moderation.wiring import clock

SOURCE = "/image-moderation/cli"


def report(
    image: Annotated[str | None, typer.Argument(metavar="IMAGE", help="The image's id.")] = None,
    reporter: Annotated[
        str | None, typer.Option(metavar="ID", help="Who reports; a new one if left out.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="G", help="The reporter's group, such as a device; all reporters of one group count once."
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="R", help="Why: one word, such as `nudity`.")] = None,
    retract: Annotated[
        bool, typer.Option("--retract", help="Retract the earlier report of --reporter.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="F",
            help="Publish JSON lines instead, `-` for standard input: each is a whole event, or an object "
            "with image_id, reporter_id, reason, reporter_group. Lines that can't be used are listed.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Publish a report of IMAGE and print the event's id."""
    if file is not None:
        if image is not None or reporter or group or reason or retract:
            raise WrongCall("report: --file stands alone; its lines name images and reporters")
        report_file(file, as_json=as_json)
        return
    if image is None:
        raise WrongCall("report: name an IMAGE, or a --file of reports")
    if retract and reporter is None:
        raise WrongCall("report: --retract needs --reporter, whose report it retracts")
    if retract and (reason is not None or group is not None):
        raise WrongCall("report: a retraction has neither --reason nor --group")
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
