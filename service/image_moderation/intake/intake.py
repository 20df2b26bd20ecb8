"""Processes one batch. A message is acked only once its effect, or its dead letter, is durable."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from image_moderation.domain.decision import Applied
from image_moderation.domain.errors import Unavailable
from image_moderation.domain.message import DeadLetter, DeadLetterReason, RawMessage
from image_moderation.domain.report import Report, Review, Tick
from image_moderation.events.models import REVIEWED_CHANNEL
from image_moderation.events.parse import Malformed, parse
from image_moderation.intake.ports import Metrics, Outbox, Source, Store

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between attempts while a server is away."""

FAILING_FROM = 6
"""Attempts, which take a second and a half, from which on a step that waits is told in `/readyz`."""

ONE_BY_ONE_AFTER = 3
"""Deliveries after which a message is processed alone, so that it can't make a whole batch fail."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Intake:
    """Processes batches; any number of them at once."""

    def __init__(
        self,
        *,
        source: Source,
        store: Store,
        outbox: Outbox,
        metrics: Metrics,
        clock: Callable[[], int],
        max_event_bytes: int,
        max_deliveries: int,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._source = source
        self._store = store
        self._outbox = outbox
        self._metrics = metrics
        self._clock = clock
        self._max_event_bytes = max_event_bytes
        self._max_deliveries = max_deliveries
        self._pause = pause
        self._failing: dict[object, str] = {}

    @property
    def failing(self) -> str:
        """Which step of a batch has waited for long, and for what; "" if none has.

        A server may answer every question and yet refuse this step, to this user for example.
        """
        return next(iter(self._failing.values()), "")

    async def process(self, messages: Sequence[RawMessage]) -> None:
        """Process a batch of one channel: store it, ack it, publish its decisions.

        While the store or the broker is away this waits and repeats, and so pauses the reader. Cancelling
        leaves the batch unacked.
        """
        if len(messages) > 1 and any(message.deliveries > ONE_BY_ONE_AFTER for message in messages):
            for message in messages:
                await self.process([message])
            return
        events, dead_letters = self._parse(messages)
        if dead_letters:
            await self._until_available("park", lambda _: self._source.park(dead_letters))
        retried = any(message.deliveries > 1 for message in messages)
        if events:
            applied = await self._until_available(
                "apply", lambda attempt: self._store.apply(events, retried=retried or attempt > 1)
            )
            ack = self._until_available("ack", lambda _: self._source.ack(messages))
            # Side by side: who waits for a block need not wait for the ack as well.
            await (asyncio.gather(self._publish(applied), ack) if applied.entries else ack)
            self._tell_shadow(applied)
            if messages[0].channel == REVIEWED_CHANNEL:
                self._metrics.verdicts(Counter(applied.outcomes))
            else:
                self._metrics.reports(Counter(applied.outcomes))
                oldest = min(event.time for event in events)
                self._metrics.report_age((self._clock() - oldest) / 1000)
        else:
            await self._until_available("ack", lambda _: self._source.ack(messages))
        for dead_letter in dead_letters:
            self._metrics.dead_letter(dead_letter.reason)
        self._metrics.batch(len(messages))

    async def tick(self, ticks: Sequence[Tick]) -> None:
        """Evaluate again the cases whose withheld block is due, and publish the decisions."""
        applied = await self._until_available(
            "apply", lambda attempt: self._store.apply(ticks, retried=attempt > 1)
        )
        if applied.entries:
            await self._publish(applied)
        self._tell_shadow(applied)

    async def _publish(self, applied: Applied) -> None:
        await self._until_available("publish", lambda _: self._outbox.publish(applied.entries))

    def _tell_shadow(self, applied: Applied) -> None:
        """Count and log the decisions of shadow mode, and nothing else."""
        for decision in applied.shadow:
            self._metrics.decision(decision.action, decision.trigger, "shadow")
            log.info(
                "shadow_decision",
                action=decision.action,
                image_id=decision.image_id,
                trigger=decision.trigger,
                distinct_reporters=decision.distinct_reporters,
            )

    def _parse(self, messages: Sequence[RawMessage]) -> tuple[list[Report | Review], list[DeadLetter]]:
        """Split a batch into events and dead letters, each in the batch's order."""
        events: list[Report | Review] = []
        dead_letters: list[DeadLetter] = []
        now = self._clock()
        for message in messages:
            try:
                if message.deliveries > self._max_deliveries:
                    why = f"delivered {message.deliveries} times"
                    raise Malformed(DeadLetterReason.TOO_MANY_DELIVERIES, why)
                events.append(parse(message, now, self._max_event_bytes))
            except Malformed as malformed:
                dead_letters.append(DeadLetter(message, malformed.reason, str(malformed)))
            except Exception as error:
                # One message must never fail its batch, whatever fault the parser has.
                log.exception("parser_failed", channel=message.channel, position=message.position)
                why = f"the parser failed: {type(error).__name__}"
                dead_letters.append(DeadLetter(message, DeadLetterReason.INVALID, why))
        for dead_letter in dead_letters:
            log.info(
                "dead_letter",
                reason=dead_letter.reason,
                error=dead_letter.error,
                channel=dead_letter.message.channel,
                position=dead_letter.message.position,
            )
        return events, dead_letters

    async def _until_available(self, step: str, call: Callable[[int], Awaitable[T]]) -> T:
        """Call with the number of the attempt until a server that is away has come back."""
        attempt, pause = 1, FIRST_PAUSE
        this = object()
        try:
            while True:
                try:
                    result = await call(attempt)
                except Unavailable as error:
                    if attempt == 1:
                        log.warning("waiting", step=step, error=str(error))
                    if attempt >= FAILING_FROM:
                        self._failing[this] = f"{step} waits: {error}"
                    await self._pause(pause)
                    attempt, pause = attempt + 1, min(pause * 2, LONGEST_PAUSE)
                else:
                    if attempt > 1:
                        log.info("resumed", step=step, attempts=attempt)
                    return result
        finally:
            self._failing.pop(this, None)
