"""What aiormq and pamqp do with each delivery, in ways that are quicker and never end the connection.

There is no setting for it (pamqp 4.0.1, aiormq 7.2.4), so `prepare` puts these in the place of theirs.
docs/performance.md has what each saves.
"""

from struct import Struct

import aiormq
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from pamqp.header import ContentHeader

_TAG_AND_BITS = Struct(">QB").unpack_from
_unmarshal_strictly = Basic.Properties.unmarshal


def prepare() -> None:
    """Use these for every connection of the process."""
    Basic.Properties.unmarshal = _unmarshal_leniently  # type: ignore[assignment, method-assign]  # see above
    Basic.Deliver.unmarshal = _unmarshal_delivery  # type: ignore[assignment, method-assign]
    aiormq.Channel._on_deliver_frame = _deliver  # type: ignore[assignment, method-assign]  # noqa: SLF001


def _unmarshal_leniently(properties: Basic.Properties, flags: int, data: bytes) -> None:
    """Leave out a property that can't be decoded, and those after it.

    The client decodes properties in the task that reads the connection. One id that isn't UTF-8, or one
    timestamp beyond the year 9999, would end the connection, and again after every redelivery.
    """
    try:  # noqa: SIM105 - called once a message, where `suppress` would cost more
        _unmarshal_strictly(properties, flags, data)
    except Exception:  # noqa: BLE001, S110 - decoders raise many kinds; the body counts, not its properties
        pass


def _unmarshal_delivery(delivery: Basic.Deliver, data: bytes) -> None:
    """Read the five fields directly; pamqp looks up type and decoder of each by name."""
    end = 1 + data[0]
    delivery.consumer_tag = data[1:end].decode(errors="replace")
    delivery.delivery_tag, bits = _TAG_AND_BITS(data, end)
    delivery.redelivered = bool(bits & 1)
    begin = end + 10
    end = begin + data[begin - 1]
    delivery.exchange = data[begin:end].decode(errors="replace")
    delivery.routing_key = data[end + 1 : end + 1 + data[end]].decode(errors="replace")


async def _deliver(channel: aiormq.Channel, delivery: Basic.Deliver) -> None:
    """Call the consumer in the task that reads the channel; aiormq makes a task for each message.

    A consumer must not wait for long, nor raise.
    """
    header = await channel._get_frame()  # noqa: SLF001 - as the method that this one stands for
    if not isinstance(header, ContentHeader):
        raise TypeError(f"{header!r} instead of a message's header")
    message: DeliveredMessage = await channel._read_content(delivery, header)  # noqa: SLF001
    consumer = channel.consumers.get(delivery.consumer_tag or "")
    if consumer is not None:
        await consumer(message)
