"""Records as messages, and which offsets of a partition are finished."""

from operator import methodcaller
from typing import Any, Self

from confluent_kafka import Message
from faststream.message import StreamMessage

from image_moderation.brokers.kafka.topology import Place
from image_moderation.domain.message import NO_HEADERS, RawMessage

# Where a name is not UTF-8, confluent-kafka 2.16.1 returns a list of null pointers and sets an exception
# without raising it; using that list ends the process. A direct call may overlook the exception, once Python
# has specialised it; a methodcaller always checks it, and raises.
_headers = methodcaller("headers")


class PartitionOffsets:
    """Which offsets of one partition were handed out, and which are finished.

    Kafka itself stores one committed offset. All but `finish` is called by the client's thread.
    """

    __slots__ = ("_begin", "_committed", "next", "unfinished")

    def __init__(self, begin: int | None = None) -> None:
        """`begin` is where the group stands, None if that is not known."""
        self._begin = begin
        self._committed: int | None = None
        self.next = begin
        """The offset after the last one that was handed out."""
        self.unfinished: dict[int, int | None] = {}
        """Offsets that were handed out and are not finished, and when each message reached the broker in
        milliseconds.
        """

    @classmethod
    def moved_to(cls, offset: int) -> Self:
        """Return a partition whose next offset is `offset`, which the group does not know yet."""
        offsets = cls()
        offsets.next = offset
        return offsets

    def hand_out(self, offset: int, arrived: int | None) -> None:
        """Note that the handler is given a message. Offsets grow, but not always by one."""
        self.next = offset + 1
        self.unfinished[offset] = arrived

    def finish(self, offset: int) -> None:
        """Note that a message is acked."""
        self.unfinished.pop(offset, None)

    def to_commit(self, *, again: bool) -> int | None:
        """Return the first offset that is not finished, at which another reader has to begin.

        None if nothing was handed out and the group stands there already, and, without `again`, if it has
        not moved since the last call.
        """
        if self.next == self._begin:
            return None
        offset = min(list(self.unfinished), default=self.next)
        if offset == self._committed and not again:
            return None
        self._committed = offset
        return offset


class Batch(list[Message]):
    """Records of one channel, in the form that FastStream's middlewares read."""

    def __init__(self) -> None:
        super().__init__()
        self.decoded: list[RawMessage] = []

    def add(self, message: Message, offsets: PartitionOffsets) -> None:
        """Append a record, and note that it is handed out."""
        topic, partition = place_of(message)
        offset = offset_of(message)
        stamp = message.timestamp()[1]
        arrived = stamp if stamp > 0 else None
        offsets.hand_out(offset, arrived)
        headers = headers_of(message)
        self.append(message)
        self.decoded.append(
            RawMessage(
                topic,
                f"{partition}:{offset}",
                body_of(message),
                arrived,
                headers=_text(headers) if headers else NO_HEADERS,
                handle=(offsets, offset),
            )
        )


async def decode_batch(message: StreamMessage[Any]) -> list[RawMessage]:
    """FastStream's decoder: the records of a batch, bodies unparsed."""
    batch: Batch = message.raw_message
    return batch.decoded


def place_of(message: Message) -> Place:
    """Return the partition of a message that was read."""
    return message.topic(), message.partition()  # type: ignore[return-value]  # None only before it is sent


def offset_of(message: Message) -> int:
    """Return the offset of a message that was read."""
    return message.offset()  # type: ignore[return-value]  # as above


def body_of(message: Message) -> bytes:
    """Return what a record holds; a tombstone holds nothing."""
    return message.value() or b""


def headers_of(message: Message) -> dict[str, str | bytes | None]:
    """Return a record's headers; none where a name is not UTF-8, because the client can't give them then."""
    try:
        return dict(_headers(message) or ())
    except (SystemError, UnicodeDecodeError):
        message.set_headers([])
        return {}


def size_of(message: Message) -> int:
    """Return the bytes of a record: its value, key and headers."""
    named = sum(len(name) + len(value or b"") for name, value in headers_of(message).items())
    return len(message) + len(message.key() or b"") + named


def _text(headers: dict[str, str | bytes | None]) -> dict[str, str]:
    """UTF-8; bytes that are not UTF-8 are escaped. A header that is null is absent."""
    return {
        name: value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
        for name, value in headers.items()
        if value is not None
    }
