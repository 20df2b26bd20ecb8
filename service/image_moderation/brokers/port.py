"""The interface of every broker in this room.

Each broker has a folder of its own, whose `__init__` is a `Broker`; `registry` finds it by the URL's scheme.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from prometheus_client import CollectorRegistry

from image_moderation.brokers.metrics import registry_for_faststream
from image_moderation.brokers.reader import Handler
from image_moderation.domain.decision import Publication
from image_moderation.domain.message import DeadLetter, Outgoing, RawMessage
from image_moderation.events.models import REPORTED_CHANNEL, REVIEWED_CHANNEL

INCOMING = (REPORTED_CHANNEL, REVIEWED_CHANNEL)
"""The channels that the service reads: the first is busy, the second is not."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a transport reads and publishes. Times are in milliseconds."""

    url: str
    group: str
    consumer: str
    """This process's name in the group, unlike any other's."""
    batch_size: int
    """Most messages that the handler is given at once."""
    clock: Callable[[], int]
    dead_letter_retention: int
    """How long dead letters are kept where the service itself removes them."""
    dead_letter_max_bytes: int | None = None
    """How many bytes of them are kept; None keeps all."""
    decision_retention: int | None = None
    """The same for decisions; None keeps them."""
    redeliver_after: int = 10_000
    """After this time a message that was delivered and not acked goes to another reader, on brokers where the
    client decides that."""
    registry: CollectorRegistry | None = None
    """Where FastStream's own metrics are shown, as far as they move."""
    tracer_provider: Any = None
    """Where FastStream's own spans go, an OpenTelemetry TracerProvider; None for nowhere."""

    def middlewares(self, prometheus: Any, telemetry: Callable[[], Any]) -> tuple[Any, ...]:
        """Make FastStream's middlewares of one broker.

        `prometheus` is its class for metrics. `telemetry` imports its class for spans, which needs the extra
        `tracing`.
        """
        made: list[Any] = []
        if self.registry is not None:
            made.append(prometheus(registry=registry_for_faststream(self.registry)))
        if self.tracer_provider is not None:
            made.append(telemetry()(tracer_provider=self.tracer_provider))
        return tuple(made)


class Figures(NamedTuple):
    """How far behind the group is."""

    lag: int
    """Messages that no reader has been given yet."""
    pending: int
    """Messages given and not acked."""
    oldest_pending_age: float
    """Seconds since the oldest pending message was published, or, where that can't be known, since its reader
    got it; 0 without one."""

    @classmethod
    def total(cls, figures: Sequence["Figures"]) -> "Figures":
        """Return the figures of several groups as if they were one."""
        lags, pending, ages = zip(*figures, strict=True)
        return cls(sum(lags), sum(pending), max(ages))


class Damage(NamedTuple):
    """Harm that somebody else has done to the channels, as far as the broker shows it."""

    ahead: float = 0.0
    """By how many seconds the newest position of a channel lies in the future of the broker's clock."""
    deleted: int = 0
    """Messages deleted before the group had read them, since the question before; at least so many."""
    why: str = ""
    """One line for an operator, while there is something to do."""


class Transport(Protocol):
    """Reads reports and verdicts in batches, and publishes. Also `intake.ports.Source` and
    `outbox.ports.Publisher`.

    A message counts as delivered until it is acked. What a reader that died had in hand is delivered
    again, to another or to this one, with a higher count where the broker keeps one.
    """

    async def start(self, handler: Handler) -> None:
        """Make what is missing on the broker, and begin to read with what was there before.

        `handler` takes each batch, which is of one channel, and returns once it is acked; several may run
        at once.

        Raises:
            BrokerUnavailable: call again.
            Misconfigured: the broker must not be used as it is set up.
        """

    async def revive(self) -> None:
        """Repair whatever has stopped the reading: a reader that died, a group that was deleted.

        Called every second. Returns only if reading goes on.

        Raises:
            BrokerUnavailable: it does not go on yet; call again.
        """

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """See `intake.ports.Source`."""

    async def park(self, dead_letters: Sequence[DeadLetter]) -> None:
        """See `intake.ports.Source`."""

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        """See `outbox.ports.Publisher`."""

    async def keep(self) -> None:
        """Let no other reader take over what this process has in hand, where readers do so once time has
        passed. Called every second, but not while a batch waits for a server: another reader may have it.

        Raises:
            BrokerUnavailable: call again.
        """

    async def reclaim(self) -> None:
        """Take back what dead readers left, if the broker doesn't do that. Called every two seconds, and only
        while both servers are available.

        Raises:
            BrokerUnavailable: call again.
        """

    async def tidy(self) -> None:
        """Remove what no consumer needs any more, if the broker doesn't do that. Called every five seconds.

        Raises:
            BrokerUnavailable: call again.
        """

    async def figures(self) -> Figures:
        """Return how far behind the group is. Called every second, also to check that the broker answers.

        Raises:
            BrokerUnavailable: unknown now.
        """

    def damage(self) -> Damage:
        """Return the harm that the latest `figures` met; each deleted message is told once."""

    async def stop(self, drain_timeout: float) -> None:
        """Stop reading, let batches in hand finish for `drain_timeout` seconds, and close.

        What doesn't finish is delivered again. Also after a `start` that failed.
        """


class BrokerClient(Protocol):
    """Publishes, follows and reads channels for the command line, outside any consumer group."""

    async def publish(self, messages: Sequence[Outgoing]) -> list[str]:
        """Publish in order, and return each one's position once the broker has confirmed all.

        A position is "" on a broker that has none.

        Raises:
            BrokerUnavailable: some may be published, and some not.
        """

    def follow(
        self, channels: Sequence[str], *, from_start: bool
    ) -> AbstractAsyncContextManager[AsyncIterator[tuple[str, str, bytes]]]:
        """Give `(channel, position, body)` of every message, until cancelled; no consumer loses one by it.

        Once the context is entered no message is missed. With `from_start` the older ones come first.

        Raises:
            Unsupported: the broker keeps no message that has been consumed.
            BrokerUnavailable: the broker is away; also raised by the iterator.
        """

    def history(self, channels: Sequence[str]) -> AsyncIterator[RawMessage]:
        """Give every message of the channels that the broker holds now, in order of arrival, and end.

        No group is given any of them, and nothing is removed.

        Raises:
            Unsupported: the broker can't show a message without giving it away.
            BrokerUnavailable: the broker is away; the iterator raises both.
        """


class DeadLetterQueue(Protocol):
    """The dead letters of one broker. An entry names one stored message there, in the broker's own form."""

    purge_note: str
    """A note for whoever removes dead letters; "" on a broker that removes them at once."""

    async def count(self) -> int:
        """Return about how many entries there are, for a progress bar.

        Raises:
            BrokerUnavailable: call again.
        """

    def entries(self) -> AsyncIterator[tuple[str, bytes]]:
        """Give each entry and its body, oldest first, and end after the last.

        Raises:
            BrokerUnavailable: call again.
        """

    async def body(self, entry: str) -> bytes | None:
        """Return an entry's body, None if it has been removed meanwhile.

        Raises:
            BrokerUnavailable: call again.
        """

    async def resend(self, entries: Sequence[str], message: Outgoing) -> str | None:
        """Publish `message`, and once that is confirmed remove the entries; return its position.

        None, and nothing has changed, if it can be seen that an entry has been removed meanwhile.

        Raises:
            BrokerUnavailable: it may be published; if not, the entries stay.
        """

    async def remove(self, entries: Sequence[str]) -> int:
        """Remove entries; return how many went.

        Raises:
            BrokerUnavailable: some may be gone.
        """


class Broker(Protocol):
    """The interface of one broker's folder."""

    def make_transport(self, options: Options) -> Transport:
        """Return the service's transport; nothing is connected yet."""

    def open_client(self, url: str, group: str) -> AbstractAsyncContextManager[BrokerClient]:
        """Open what the command line publishes and follows with."""

    def open_dead_letters(self, url: str, group: str) -> AbstractAsyncContextManager[DeadLetterQueue]:
        """Open the dead letters."""
