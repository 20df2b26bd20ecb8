"""Ids of images and people made of what some broker, store or terminal gives a meaning to."""

import json
import time
from datetime import UTC, datetime

from tests.benchmarks.model import THRESHOLD, Kind, Message

MEANT = (
    "image.blocked",  # a channel's own name
    "a.b.c",  # subjects of NATS, routing keys of RabbitMQ
    "*",
    ">",
    "a.*.>",
    "#",
    "a.#",
    "$JS.API.>",
    "_INBOX.x",
    "{p07}",  # hash tags of Redis
    "{",
    "}{",
    "a{b}c",
    "moderation:{p07}:outbox",
    "a b",
    " ",
    "../../etc/passwd",
    "%00%0a",
    "'; DROP TABLE images; --",
    '"\\',
    "<script>alert(1)</script>",
    "\u202e\u05d0\u05d1\u05d2",  # right to left, and a mark that turns the direction
    "e\u0301",  # two code points that look like one
    "\u00e9",  # that one, which is another id
    "\ufeff",
    "\U0001f600" * 4,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "i" * 512,
    "\U0001f600" * 512,
    "null",
    "0",
    "-1",
    "NaN",
)
"""All are valid, and no two are the same image."""
REFUSED = ("a\x00b", "a\nb", "a\r\nb", "\x1b[31m", "\x85", "")
"""Control characters, and nothing at all."""


def messages() -> list[Message]:
    """Return reports that block each image, one too few for another each, and reports that are refused."""
    found: list[Message] = []
    for number, image in enumerate(MEANT):
        people = [person[:256] for person in (*MEANT[number:], *MEANT[:number])][: THRESHOLD + 1]
        found += [_report(f"{number}-{n}", image, person) for n, person in enumerate(people)]
        found += [_report(f"{number}-few-{n}", f"few {image}"[:512], people[n]) for n in range(THRESHOLD - 1)]
    for number, text in enumerate(REFUSED):
        found.append(_report(f"refused-image-{number}", text, "user-7", "invalid"))
        found.append(_report(f"refused-person-{number}", "img-42", text, "invalid"))
    return found


def _report(event_id: str, image: str, person: str, refused: str = "") -> Message:
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/special",
        "type": "image.reported.v1",
        "time": datetime.fromtimestamp(int(time.time()) - 60, UTC).isoformat(),
        "data": {"image_id": image, "reporter_id": person},
    }
    kind = Kind.MALFORMED if refused else Kind.REPORT
    return Message(json.dumps(event, ensure_ascii=False).encode(), kind, refused)
