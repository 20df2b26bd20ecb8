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

# An enumeration's own call takes ten times as long as a dictionary.
_ACTIONS = {action.value: action for action in Action}
_STATES = {state.value: state for state in State}
_TRIGGERS = {trigger.value: trigger for trigger in Trigger}
_OUTCOMES = {ord(letter): outcome for outcome, letter in LETTERS.items()}


class Reader:
    """Reads the replies to the calls of one batch of `events`."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._outcomes: list[Outcome] = [Outcome.HELD] * len(events)
        self._entries: dict[bytes, OutboxEntry] = {}
        self._shadow: list[Decision] = []

    def read(self, call: Call, reply: Any) -> int:
        """Take in what one call did; return how many of its events it has applied."""
        applied = len(reply[0])
        for number, letter in zip(call.numbers[:applied], reply[0], strict=True):
            self._outcomes[number] = _OUTCOMES[letter]
        for number, token in zip(reply[1::2], reply[2::2], strict=True):
            if number < 0:
                self._shadow.append(thaw(token))
            elif token not in self._entries:
                event = self._events[call.numbers[number - 1]] if number else None
                arrived = None if event is None or isinstance(event, Tick) else event.arrived
                self._entries[token] = OutboxEntry(thaw(token), token, arrived)
        return applied

    def applied(self) -> Applied:
        """Return what all calls did."""
        return Applied(self._outcomes, list(self._entries.values()), tuple(self._shadow))


def thaw(token: bytes) -> Decision:
    """Return the decision that lies in an outbox as `token`."""
    fields: dict[str, Any] = from_json(token)
    fields["action"] = _ACTIONS[fields["action"]]
    fields["state"] = _STATES[fields["state"]]
    fields["trigger"] = _TRIGGERS[fields["trigger"]]
    fields.setdefault("first_reported_at", None)
    fields.setdefault("last_reported_at", None)
    return Decision(**fields)
