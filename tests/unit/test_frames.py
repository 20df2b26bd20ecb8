"""What FastStream wraps around a body on Redis is recognised, and nothing else is taken for it."""

import json
from typing import Any

import pytest
from faststream.redis.parser import BinaryMessageFormatV1

from image_moderation.domain.message import DeadLetterReason, RawMessage
from image_moderation.events.frames import frame
from image_moderation.events.parse import Malformed, parse

EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/gallery",
    "type": "image.reported.v1",
    "data": {"image_id": "img-42", "reporter_id": "user-7"},
}


def refusal(body: bytes) -> Malformed:
    with pytest.raises(Malformed) as refused:
        parse(RawMessage("image.reported", "1-0", body), 1_795_428_300_000, 65_536)
    return refused.value


@pytest.mark.parametrize("message", [EVENT, json.dumps(EVENT), json.dumps(EVENT).encode(), "写真"])
async def test_the_binary_frame(message: Any) -> None:
    body = await BinaryMessageFormatV1.encode(
        message=message, reply_to=None, headers={"a": "写"}, correlation_id="1"
    )
    error = refusal(body)
    assert error.reason is DeadLetterReason.NOT_UTF8
    assert str(error).startswith("FastStream's private binary frame is around the body: publish")


@pytest.mark.parametrize("headers", [{}, {"correlation_id": "1", "content-type": "application/json"}])
def test_the_json_envelope_of_older_versions(headers: dict[str, str]) -> None:
    error = refusal(json.dumps({"data": json.dumps(EVENT), "headers": headers}).encode())
    assert error.reason is DeadLetterReason.NOT_AN_EVENT
    assert str(error).startswith("FastStream's private JSON envelope is around the body: publish")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(EVENT).encode(),
        b'{"data": {}, "headers": {}}',
        b'{"data": "", "headers": []}',
        b'{"data": "", "headers": {}, "more": 1}',
        b'["headers"]',
        b'{"headers"',
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_nothing_else_is_taken_for_them(body: bytes) -> None:
    assert frame(body) == ""
