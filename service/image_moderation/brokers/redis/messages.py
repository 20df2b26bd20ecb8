"""Stream entries as messages. A body stands in the field `__data__` or `data`; other fields are headers."""

from collections.abc import Sequence
from typing import Any

from faststream.message import StreamMessage
from redis.asyncio import Redis

from image_moderation.domain.message import NO_HEADERS, RawMessage

BODY_FIELD = b"__data__"
BODY_FIELDS = (BODY_FIELD, b"data")

# A NamedTuple's own constructor passes its arguments through a function written in Python.
_new = tuple.__new__

Entry = tuple[bytes, list[bytes]]
"""An entry's id and its fields, `[name, value, name, value, ...]`, as the server sends them."""


def take_raw_entries(redis: Redis) -> None:
    """Make a client give entries as the server sends them.

    The dictionary that it would otherwise build for each costs as much as all else it does for it.
    """
    redis.set_response_callback("XREADGROUP", _streams)
    redis.set_response_callback("XCLAIM", _as_sent)


def _streams(response: Any, **_: Any) -> Any:
    """Return pairs of a stream and its entries: RESP3 sends a map of them, RESP2 a list."""
    return response.items() if isinstance(response, dict) else response or ()


def _as_sent(response: Any, **_: Any) -> Any:
    return response


def batch(channel: str, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return entries in the form that FastStream's middlewares read; they only count them."""
    return {"type": "bstream", "channel": channel, "message_ids": [], "data": entries}


async def decode_batch(message: StreamMessage[Any]) -> list[RawMessage]:
    """FastStream's decoder: the entries of a batch, bodies unparsed."""
    raw = message.raw_message
    channel, made = raw["channel"], []
    milliseconds, arrived = b"", 0
    for position, fields in raw["data"]:
        if len(fields) == 2 and fields[0] == BODY_FIELD:  # as nearly every one: no headers
            if not position.startswith(milliseconds) or not milliseconds:
                milliseconds = position.partition(b"-")[0] + b"-"
                arrived = int(milliseconds[:-1])
            made.append(
                _new(RawMessage, (channel, position.decode(), fields[1], arrived, 1, NO_HEADERS, None))
            )
        else:
            made.append(raw_message(channel, position, fields))
    return made


def raw_message(channel: str, position: bytes, fields: list[bytes], deliveries: int = 1) -> RawMessage:
    """Return one entry as a message."""
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    name = next((name for name in BODY_FIELDS if name in named), b"")
    body = named.pop(name, b"")
    headers = {_text(key): _text(value) for key, value in named.items()} or NO_HEADERS
    return RawMessage(channel, position.decode(), body, int(position.partition(b"-")[0]), deliveries, headers)


def _text(raw: bytes) -> str:
    """UTF-8; bytes that are not UTF-8 are escaped."""
    return raw.decode(errors="backslashreplace")
