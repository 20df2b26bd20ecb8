"""The replies of `scripts/apply/`, and decisions as they lie in an outbox."""

from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from image_moderation.domain.decision import Action, Applied, Decision, OutboxEntry, State, Trigger
from image_moderation.domain.report import Event, Outcome, Tick
from image_moderation.store.formats import Constant
from image_moderation.store.packing import Call

LETTERS = {
    Outcome.COUNTED: "c",
    Outcome.DUPLICATE: "d",
    Outcome.ALREADY_BLOCKED: "b",
    Outcome.LATE: "l",
    Outcome.RETRACTED: "r",
    Outcome.RETRACTED_BEFORE: "t",
    Outcome.STALE: "s",
    Outcome.HELD: "h",
    Outcome.UPHELD: "u",
    Outcome.CLEARED: "v",
    Outcome.TICKED: "k",
}
CONSTANTS: dict[str, Constant] = {outcome.name: letter for outcome, letter in LETTERS.items()}
"""The letters as the script knows them, by the names that stand for them there."""

_OUTCOMES = {ord(letter): outcome for outcome, letter in LETTERS.items()}


def read(events: Sequence[Event], calls: Sequence[Call], replies: Sequence[Any]) -> Applied:
    """Return what the calls did to the batch of `events`."""
    outcomes: list[Outcome] = [Outcome.HELD] * len(events)
    entries: list[OutboxEntry] = []
    shadow: list[Decision] = []
    for call, reply in zip(calls, replies, strict=True):
        for number, letter in zip(call.numbers, reply[0], strict=True):
            outcomes[number] = _OUTCOMES[letter]
        for number, token in zip(reply[1::2], reply[2::2], strict=True):
            if number < 0:
                shadow.append(thaw(token))
                continue
            event = events[call.numbers[number - 1]] if number else None
            arrived = None if event is None or isinstance(event, Tick) else event.arrived
            entries.append(OutboxEntry(thaw(token), token, arrived))
    return Applied(outcomes, entries, tuple(shadow))


def thaw(token: bytes) -> Decision:
    """Return the decision that lies in an outbox as `token`."""
    fields: dict[str, Any] = from_json(token)
    fields["action"] = Action(fields["action"])
    fields["state"] = State(fields["state"])
    fields["trigger"] = Trigger(fields["trigger"])
    fields.setdefault("first_reported_at", None)
    fields.setdefault("last_reported_at", None)
    return Decision(**fields)
