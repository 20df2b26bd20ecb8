"""Reports an image for one person: REDIS_URL=redis://localhost python redis_producer.py IMAGE REPORTER

With FastStream 0.7: pip install 'faststream[redis]'
"""

import asyncio
import os
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

from faststream.redis import RedisBroker
from faststream.redis.parser import BinaryMessageFormatV1


class BodyAlone(BinaryMessageFormatV1):
    """Else FastStream wraps each body in a binary frame that only FastStream reads."""

    @classmethod
    async def encode(cls, **message: Any) -> bytes:
        return (await cls.build(**message)).data


async def report(image_id: str, reporter_id: str) -> None:
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/gallery",
        "type": "image.reported.v1",
        "time": datetime.now(UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": {"image_id": image_id, "reporter_id": reporter_id, "reason": "nudity"},
    }
    async with RedisBroker(os.environ["REDIS_URL"], message_format=BodyAlone) as broker:
        await broker.publish(event, stream="image.reported")


asyncio.run(report(*sys.argv[1:]))
