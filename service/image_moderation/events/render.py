"""Renders values of the domain to JSON; the same value always gives the same bytes."""

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha1, sha256
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from image_moderation.domain.decision import Action, Decision, Facts
from image_moderation.domain.message import DeadLetter, Outgoing, header_bytes
from image_moderation.domain.report import Verdict
from image_moderation.events.models import (
    DEAD_LETTER,
    DEAD_LETTER_CHANNEL,
    DECISION_TYPES,
    REPORTED,
    RETRACTED,
    REVIEWED,
    SOURCE,
)
from image_moderation.events.trace import NAME

NAMESPACE = UUID("1bbaa33f-33a0-5594-bd2d-e5a3ccf477d2")
"""The namespace of every event id that this service makes; part of the contract."""

DEAD_LETTER_BODY_BYTES = 256 * 1024
"""A dead letter keeps so many bytes of the original body."""
DEAD_LETTER_HEADER_BYTES = 64 * 1024
"""And so many of its headers."""
DEAD_LETTER_EVENT_BYTES = 800_000
"""No event of a dead letter is longer, whatever body and headers hold; brokers take a megabyte."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC throughout; an aware one would print an offset


def stamp(milliseconds: int) -> str:
    """Return a time as RFC 3339, UTC, with exactly three decimals."""
    seconds, thousandths = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{thousandths:03}Z"


@lru_cache(maxsize=1024)  # decisions of one batch have few of them
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


def _event_id(name: str) -> str:
    """Return `str(uuid5(NAMESPACE, name))`, without the object in between, which costs twice the digest."""
    digest = bytearray(sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50  # the version
    digest[8] = digest[8] & 0x3F | 0x80  # the variant
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def decision_id(decision: Decision) -> str:
    """Return the event id: uuid5 of image id, decided_at, revision and type, a line each."""
    event_type = DECISION_TYPES[decision.action].name
    name = f"{decision.image_id}\n{stamp(decision.decided_at)}\n{decision.revision}\n{event_type}"
    return _event_id(name)


def decision_message(decision: Decision) -> Outgoing:
    """Return the event that publishes a decision."""
    event_type = DECISION_TYPES[decision.action]
    decided_at = stamp(decision.decided_at)
    event_id = decision_id(decision)
    trace = {} if decision.traceparent is None else {NAME: decision.traceparent}
    body = _json(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": SOURCE,
            "type": event_type.name,
            "subject": decision.image_id,
            "time": decided_at,
            "datacontenttype": "application/json",
            **trace,
            "data": {
                "image_id": decision.image_id,
                "revision": decision.revision,
                # As plain text, which is written much faster than the member of an enumeration.
                "state": decision.state.value,
                "decided_at": decided_at,
                "automated": decision.automated,
                "trigger": decision.trigger.value,
                **({} if decision.action is Action.UNBLOCK else facts_data(decision)),
                "policy": decision.policy,
            },
        }
    )
    return Outgoing(event_type.channel, body, event_id, decision.image_id, trace)


def facts_data(facts: Facts) -> dict[str, Any]:
    """Return the facts that a block or a request for review relied on, as its event has them."""
    first, last = facts.first_reported_at, facts.last_reported_at
    return {
        "distinct_reporters": facts.distinct_reporters,
        "threshold": facts.threshold,
        # Sorted, because the store's script returns them in no order.
        "reasons": dict(sorted(facts.reasons.items())),
        **({} if first is None else {"first_reported_at": stamp(first)}),
        **({} if last is None else {"last_reported_at": stamp(last)}),
    }


def dead_letter_id(channel: str, position: str) -> str:
    """Return the event id: uuid5 of channel and position, a line each, so that a repeat is recognised."""
    return _event_id(f"{channel}\n{position}")


def dead_letter_message(dead_letter: DeadLetter, now: int) -> Outgoing:
    """Return the event of a dead letter; `now` in milliseconds."""
    message = dead_letter.message
    event_id = dead_letter_id(message.channel, message.position)
    headers = _first_headers(message.headers)
    body = _json(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": SOURCE,
            "type": DEAD_LETTER,
            "time": stamp(now),
            "datacontenttype": "application/json",
            "data": {
                "reason": dead_letter.reason,
                "error": dead_letter.error,
                "channel": message.channel,
                "position": message.position,
                "deliveries": message.deliveries,
                "size": len(message.body),
                "sha256": sha256(message.body).hexdigest(),
                "truncated": len(message.body) > DEAD_LETTER_BODY_BYTES
                or len(headers) < len(message.headers),
                "body": base64.b64encode(message.body[:DEAD_LETTER_BODY_BYTES]).decode(),
                "headers": headers,
            },
        }
    )
    return Outgoing(DEAD_LETTER_CHANNEL, body, event_id, event_id)


def _first_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return those headers that are kept: all but the ones that find no room, one after another."""
    kept, room = {}, DEAD_LETTER_HEADER_BYTES
    for name, value in headers.items():
        if (size := header_bytes(name, value)) <= room:
            kept[name] = value
            room -= size
    return kept


def report_event(
    *,
    event_id: str,
    source: str,
    time: int,
    image_id: str,
    reporter_id: str,
    reason: str | None = None,
    group: str | None = None,
    retract: bool = False,
) -> bytes:
    """Return the event of a report or, with `retract`, of its retraction, as a producer sends it."""
    data: dict[str, Any] = {"image_id": image_id, "reporter_id": reporter_id}
    if not retract:
        data |= {"reason": reason} if reason else {}
        data |= {"reporter_group": group} if group else {}
    return _json(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": source,
            "type": RETRACTED if retract else REPORTED,
            "time": stamp(time),
            "datacontenttype": "application/json",
            "data": data,
        }
    )


def review_event(
    *, event_id: str, source: str, time: int, image_id: str, verdict: Verdict, moderator_id: str | None = None
) -> bytes:
    """Return the event of a moderator's verdict, as a producer sends it."""
    data = {"image_id": image_id, "verdict": verdict}
    if moderator_id is not None:
        data["moderator_id"] = moderator_id
    return _json(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": source,
            "type": REVIEWED,
            "time": stamp(time),
            "datacontenttype": "application/json",
            "data": data,
        }
    )


def _json(event: dict[str, Any]) -> bytes:
    return to_json(event)
