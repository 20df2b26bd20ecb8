"""Stream entries as messages. A body stands in the field `__data__` or `data`; other fields are headers."""

from collections.abc import Sequence
from typing import Any

from faststream.message import StreamMessage
from redis.asyncio import Redis

from image_moderation.domain.message import NO_HEADERS, RawMessage

BODY_FIELD = b"__data__"
BODY_FIELDS = (BODY_FIELD, b"data")

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
    """Return entries in the form that FastStream's middlewares read."""
    return {
        "type": "bstream",
        "channel": channel,
        "message_ids": [position for position, _ in entries],
        "data": [fields for _, fields in entries],
    }


async def decode_batch(message: StreamMessage[Any]) -> list[RawMessage]:
    """FastStream's decoder: the entries of a batch, bodies unparsed."""
    raw = message.raw_message
    channel = raw["channel"]
    return [
        raw_message(channel, position, fields)
        for position, fields in zip(raw["message_ids"], raw["data"], strict=True)
    ]


def raw_message(channel: str, position: bytes, fields: list[bytes], deliveries: int = 1) -> RawMessage:
    """Return one entry as a message."""
    if len(fields) == 2 and fields[0] == BODY_FIELD:
        body, headers = fields[1], NO_HEADERS
    else:
        named = dict(zip(fields[::2], fields[1::2], strict=True))
        name = next((name for name in BODY_FIELDS if name in named), b"")
        body = named.pop(name, b"")
        headers = {_text(key): _text(value) for key, value in named.items()}
    return RawMessage(channel, position.decode(), body, int(position.partition(b"-")[0]), deliveries, headers)


def _text(raw: bytes) -> str:
    """UTF-8; bytes that are not UTF-8 are escaped."""
    return raw.decode(errors="backslashreplace")
