"""What producers send: the bytes, and beside them what they mean, said without the service's parser."""

import json
from dataclasses import dataclass
from random import Random
from typing import Any

from image_moderation.domain.clock import DAY, HOUR
from image_moderation.domain.report import Report, Review, Verdict
from image_moderation.events.models import REPORTED_CHANNEL, REVIEWED_CHANNEL
from image_moderation.events.render import stamp
from tests.simulation.plan import Plan

MOST_BYTES = 4_096
REASONS = ("unspecified", "spam", "nudity", "csam")
MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "not_json": b'{"specversion": "1.0"',
    "not_utf8": b'{"specversion": "\xff"}',
    "not_an_event": b'{"data": {}}',
    "too_large": b'{"x": "' + b"x" * MOST_BYTES + b'"}',
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a producer."""

    position: str
    channel: str
    body: bytes
    dead: str = ""
    """The reason of the dead letter that it must become."""
    trace: str = ""
    """Its own traceparent, by which its effect is known; a message that is sent twice keeps it."""
    time: int | None = None
    """When the person says it was."""
    facts: tuple[Any, ...] = ()
    """Of a report: image, reporter, reason, group, retracted. Of a review: image, verdict."""

    @property
    def image(self) -> str:
        return str(self.facts[0])

    def event(self, arrived: int) -> Report | Review:
        """Return the event that it is, if it arrived then."""
        time = arrived if self.time is None else min(self.time, arrived)
        if self.channel == REVIEWED_CHANNEL:
            image, verdict = self.facts
            return Review(image, time, arrived, verdict, self.trace)
        image, reporter, reason, group, retracted = self.facts
        return Report(image, reporter, time, arrived, reason, group, retracted, self.trace)


class Producers:
    """Everybody who sends messages."""

    def __init__(self, chance: Random, plan: Plan) -> None:
        self._chance = chance
        self._plan = plan
        self._sent: list[Message] = []

    def next(self, now: int) -> Message:
        """Return the next message: a report of a hot image most often."""
        chance, position = self._chance, f"{len(self._sent) + 1}"
        dice = chance.random()
        if dice < 0.12 and self._sent:
            # The producer had no answer and sends it again.
            again = chance.choice(self._sent[-30:])
            message = Message(
                position, again.channel, again.body, again.dead, again.trace, again.time, again.facts
            )
        elif dice < 0.18:
            reason = chance.choice(list(MALFORMED))
            channel = chance.choice([REPORTED_CHANNEL, REVIEWED_CHANNEL])
            message = Message(position, channel, MALFORMED[reason], reason)
        elif dice < 0.21:
            message = self._odd(position, now)
        else:
            message = self._event(position, now)
        self._sent.append(message)
        return message

    def _odd(self, position: str, now: int) -> Message:
        """Return an event that is one but for one thing."""
        trace, image = self._trace(position), self._image()
        data: dict[str, Any] = {"image_id": image, "reporter_id": "user-1"}
        dead = self._chance.choice(["invalid", "unknown_type", "time_in_future"])
        kind, time = "image.reported.v1", now
        if dead == "invalid":
            del data["reporter_id"]
        elif dead == "unknown_type":
            kind = "image.reported.v9"
        else:
            time += 3_000 * DAY
        return Message(position, REPORTED_CHANNEL, _body(position, kind, time, trace, data), dead)

    def _event(self, position: str, now: int) -> Message:
        chance, image, trace = self._chance, self._image(), self._trace(position)
        time = self._time(now)
        dice = chance.random()
        if dice < 0.06:
            verdict = chance.choice([Verdict.CLEARED, Verdict.CLEARED, Verdict.UPHELD])
            time = now - chance.randrange(10_000) if time is None else time
            body = _body(
                position, "image.reviewed.v1", time, trace, {"image_id": image, "verdict": verdict.value}
            )
            return Message(position, REVIEWED_CHANNEL, body, "", trace, time, (image, verdict))
        who = f"user-{chance.randrange(self._plan.reporters)}"
        data = {"image_id": image, "reporter_id": who}
        if dice < 0.16:
            time = now if time is None else time
            body = _body(position, "image.report-retracted.v1", time, trace, data)
            facts = (image, who, "unspecified", None, True)
            return Message(position, REPORTED_CHANNEL, body, "", trace, time, facts)
        reason = chance.choice(REASONS)
        # A reporter keeps the group.
        groups = self._plan.groups
        number = int(who.removeprefix("user-"))
        group = f"g{number % groups}" if groups and number % 2 else None
        data |= {"reason": reason} | ({"reporter_group": group} if group else {})
        body = _body(position, "image.reported.v1", time, trace, data)
        return Message(position, REPORTED_CHANNEL, body, "", trace, time, (image, who, reason, group, False))

    def _time(self, now: int) -> int | None:
        """Return when it was: now, or some time ago, or by a clock that is ahead; None if it isn't said."""
        dice = self._chance.random()
        if dice < 0.6:
            return now
        if dice < 0.7:
            return now + self._chance.randrange(HOUR)
        if dice < 0.95 or not self._plan.habits.stamps:
            return now - int(self._chance.expovariate(1 / HOUR))
        return None

    def _image(self) -> str:
        """Return an image, the first ones more often."""
        return f"img-{int(self._chance.random() ** 2 * self._plan.images)}"

    def _trace(self, position: str) -> str:
        return f"00-{int(position):032x}-{int(position):016x}-01"


def _body(position: str, kind: str, time: int | None, trace: str, data: dict[str, Any]) -> bytes:
    event = {
        "specversion": "1.0",
        "id": f"e{position}",
        "source": "/site",
        "type": kind,
        "traceparent": trace,
    }
    if time is not None:
        event["time"] = stamp(time)
    return json.dumps({**event, "data": data}).encode()
