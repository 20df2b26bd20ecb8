"""The invariants, checked at every call that a server does, against a model of its own.

The model takes what was sent, as the producers know it, in the order in which the store took it, and applies
the pure policy. It reads nothing of the store, the outbox or the broker.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple, NoReturn

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Action, Applied, Decision, OutboxEntry
from image_moderation.domain.message import Outgoing
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Tick
from image_moderation.events.models import DECISION_TYPES
from image_moderation.events.render import decision_message
from tests.simulation.loop import Process
from tests.simulation.messages import Message
from tests.simulation.model import Model

MOST_DELIVERIES = 10
LEASE = 5_000
LEFT_OUT = {"too_many_deliveries"}


class ApplyCall(NamedTuple):
    """One call of the store's script."""

    now: int
    """By the clock of its replica."""
    policy: Policy
    """As its replica is configured."""
    events: Sequence[Event]
    retried: bool


class Violation(AssertionError):
    """An invariant does not hold."""


class Judge:
    """Knows what has happened, and ends the run when it must not have."""

    def __init__(
        self, policy: Policy, once: bool, note: Callable[[str], None], fail: Callable[[Violation], None]
    ) -> None:
        """`once`: publishing and settling are one step, so no event may be on the broker twice."""
        self.model = Model(policy)
        self.messages: dict[str, Message] = {}
        """By position."""
        self.effects: set[tuple[str, int | None]] = set()
        """The traces of what the store has applied, with the broker's stamps."""
        self.letters: dict[str, str] = {}
        """The reason of each position's dead letter."""
        self.decisions: dict[str, Decision] = {}
        """All that were taken and are to be published, by event id."""
        self.publications: Counter[str] = Counter()
        """How often each event id was published."""
        self.settled: set[str] = set()
        self.consumer: dict[str, tuple[int, bool]] = {}
        """What a consumer makes of the decisions: each image's latest, and whether it blocks."""
        self._once = once
        self._note = note
        self._fail = fail
        self._stamps: dict[str, int | None] = {}
        self._traces: dict[str, Message] = {}
        self._deliveries: Counter[str] = Counter()
        self._bodies: dict[str, bytes] = {}
        self._leases: dict[str, int] = {}
        self._grants: Counter[tuple[Process, str]] = Counter()
        """How often a process was given a decision which it has not tried to publish since."""
        self._sent: dict[tuple[Process, str], int] = {}
        """How many of a process's calls had failed when it last tried."""
        self._latest: dict[str, int] = {}
        """The time of each image's latest decision."""

    def violated(self, what: str) -> NoReturn:
        """End the run."""
        violation = Violation(what)
        self._fail(violation)
        raise violation

    # --- the broker

    def arrived(self, message: Message, stamp: int | None) -> None:
        """A producer's message is on the broker."""
        self._note(f"sent {message.position} {message.facts or message.dead}")
        self.messages[message.position] = message
        self._stamps[message.position] = stamp
        if message.trace:
            self._traces[message.trace] = message

    def delivered(self, message: Message, deliveries: int) -> None:
        """A reader was given it."""
        self._deliveries[message.position] = max(deliveries, self._deliveries[message.position])

    def has_effect(self, position: str) -> bool:
        """Return whether the store has applied a message."""
        return (self.messages[position].trace, self._stamps[position]) in self.effects

    def acked(self, position: str) -> None:
        """A message was acked."""
        self._note(f"ack {position}")
        if not self.has_effect(position) and position not in self.letters:
            self.violated(f"message {position} is acked without an effect or a dead letter")

    def parked(self, letter: Outgoing) -> None:
        """A dead letter is on the broker."""
        data = json.loads(letter.body)["data"]
        position, reason = data["position"], data["reason"]
        self._note(f"park {position} {reason}")
        message = self.messages[position]
        if reason not in {message.dead} | LEFT_OUT:
            self.violated(
                f"message {position} became a dead letter as {reason}, not {message.dead or 'an event'}"
            )
        if reason in LEFT_OUT and self._deliveries[position] <= MOST_DELIVERIES:
            self.violated(
                f"message {position} was delivered {self._deliveries[position]} times: not too often"
            )
        if data["sha256"] != sha256(message.body).hexdigest():
            self.violated(f"the dead letter of message {position} has another body")
        self.letters[position] = reason

    def granted(self, process: Process, decision: Decision) -> None:
        """A process was given a decision to publish."""
        self._grants[process, decision_message(decision).event_id] += 1

    def sends(self, process: Process, messages: Sequence[Outgoing]) -> None:
        """A process publishes decisions that it was given, again only after one of its calls has failed."""
        latest: dict[str, int] = {}
        for message in messages:
            decision = self.decisions.get(message.event_id)
            if decision is None:
                self.violated(f"a decision about {message.key} is published that nothing has led to")
            if decision.decided_at <= latest.get(message.key, 0):
                self.violated(f"{process.name} publishes decisions about {message.key} in another order")
            latest[message.key] = decision.decided_at
            key = process, message.event_id
            if process.failures <= self._sent.get(key, process.failures):
                if not self._grants[key]:
                    self.violated(
                        f"{process.name} publishes {message.event_id} about {message.key} without a cause"
                    )
                self._grants[key] -= 1
            self._sent[key] = process.failures

    def published(self, process: Process, message: Outgoing) -> None:
        """A decision is on the broker."""
        event_id = message.event_id
        decision = self.decisions[event_id]
        self._note(f"{process.name} publishes {message.channel} {message.key} {event_id}")
        if (
            message.body != self._bodies[event_id]
            or message.channel != DECISION_TYPES[decision.action].channel
        ):
            self.violated(f"event {event_id} about {message.key} was published with another content")
        self.publications[event_id] += 1
        if self._once and self.publications[event_id] > 1:
            self.violated(
                f"event {event_id} about {message.key} is on the broker twice, though it is the store"
            )
        before = self.consumer.get(decision.image_id, (0, False))[0]
        if decision.action is not Action.REQUEST_REVIEW and decision.decided_at > before:
            self.consumer[decision.image_id] = (decision.decided_at, decision.action is Action.BLOCK)

    # --- the store

    def settle(self, decision: Decision) -> None:
        """A decision has left the outbox."""
        event_id = decision_message(decision).event_id
        self._note(f"settle {event_id}")
        if not self.publications[event_id]:
            self.violated(f"event {event_id} about {decision.image_id} was settled and not published")
        self.settled.add(event_id)

    def outbox_has(self, waiting: Sequence[OutboxEntry]) -> None:
        """What waits in the outbox is what was taken and not settled."""
        if len(waiting) != len(self.decisions) - len(self.settled):
            ids = {decision_message(entry.decision).event_id for entry in waiting} | self.settled
            gone = [self.decisions[one].image_id for one in self.decisions if one not in ids]
            self.violated(f"{len(gone)} decisions were taken and are gone from the outbox: about {gone}")

    def claimed(self, process: Process, now: int, entries: Sequence[OutboxEntry]) -> None:
        """A sweep has taken decisions."""
        for entry in entries:
            event_id = decision_message(entry.decision).event_id
            self._note(f"{process.name} sweeps {event_id}")
            if self._leases[event_id] > now:
                self.violated(
                    f"{process.name} swept event {event_id} {self._leases[event_id] - now} ms too early"
                )
            self._leases[event_id] = now + LEASE
            self.granted(process, entry.decision)

    def ticks(self, now: int, ticks: Sequence[Tick]) -> None:
        """A replica has taken images whose withheld block is due."""
        for tick in ticks:
            if self.model.due[tick.image_id] > now:
                self.violated(
                    f"{tick.image_id} was looked at again {self.model.due[tick.image_id] - now} ms too early"
                )
            self.model.due[tick.image_id] = now + LEASE
            self.model.ticking.add(tick.image_id)

    def applied(
        self,
        process: Process,
        call: ApplyCall,
        result: Applied,
        cases: dict[str, Case],
    ) -> None:
        """The store has applied events in one step; `cases` are those of their images after it."""
        now, events = call.now, call.events
        self._note(f"{process.name} applies {', '.join(map(_short, events))} at {now}: {result.outcomes}")
        taken = self.model.apply([self._meant(event) for event in events], now, call.policy)
        if list(result.outcomes) != taken.outcomes:
            self.violated(f"{events} were {result.outcomes}; the policy says {taken.outcomes}")
        if taken.unfounded:
            self.violated(taken.unfounded)
        for decision in taken.decisions:
            self._take(decision, now)
        answered = [entry.decision for entry in result.entries]
        if [one for one in taken.decisions if one not in answered] or list(result.shadow) != taken.shadow:
            self.violated(f"decisions were not answered: took {taken.decisions}, answered {answered}")
        for decision in answered:
            if decision_message(decision).event_id not in self.decisions:
                self.violated(f"a decision about {decision.image_id} was answered that was never taken")
            self.granted(process, decision)
        for image, case in cases.items():
            if case != self.model.cases.get(image, Case()):
                self.violated(f"the case of {image} is {case}; by the model {self.model.cases.get(image)}")

    def _meant(self, event: Event) -> Event:
        """Return the event that its producer meant."""
        if isinstance(event, Tick):
            return event
        message = self._traces.get(event.traceparent or "")
        if message is None:
            self.violated(f"{event} was applied, which nobody has sent")
        stamp = self._stamps[message.position]
        meant = message.event(event.arrived)
        if event != meant:
            self.violated(f"{event} was applied, where {meant} was sent")
        self.effects.add((message.trace, None if stamp is None else event.arrived))
        return meant

    def _take(self, decision: Decision, now: int) -> None:
        message = decision_message(decision)
        if message.event_id in self.decisions:
            self.violated(f"event {message.event_id} about {decision.image_id} was taken twice")
        if decision.decided_at <= self._latest.get(decision.image_id, 0):
            self.violated(f"a decision about {decision.image_id} is not later than the one before")
        self._latest[decision.image_id] = decision.decided_at
        self.decisions[message.event_id] = decision
        self._bodies[message.event_id] = message.body
        self._leases[message.event_id] = now + LEASE


def _short(event: Event) -> str:
    if isinstance(event, Tick):
        return f"a tick of {event.image_id}"
    return str(int((event.traceparent or "0-0")[3:35], 16))
