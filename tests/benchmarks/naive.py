"""The benchmark's baseline: the handler that anybody could write in an afternoon with FastStream.

`python -m tests.benchmarks.naive` reads the same stream from the same server: it parses one message at a
time into a pydantic model, keeps a set of reporters per image, and publishes a block when the set's size is
the threshold. It is not slowed down: it uses hiredis and uvloop, logs nothing, reads 100 entries at once,
needs one round trip per report, and its bodies are plain JSON. It lacks retractions, dead letters, digests,
metrics and decisions that survive a crash, which makes it faster.
"""

import os
from typing import Any

import uvloop
from faststream import FastStream
from faststream.redis import BinaryMessageFormatV1, RedisBroker, StreamSub
from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import ResponseError

STREAM, GROUP = "image.reported", "naive"
THRESHOLD = 5
WINDOW = 30 * 86_400


class Report(BaseModel):
    """The data of a report."""

    image_id: str
    reporter_id: str
    reason: str = "unspecified"


class Event(BaseModel):
    """The event of a report."""

    id: str
    type: str
    data: Report


class PlainJson(BinaryMessageFormatV1):
    """The unchanged body in both directions, instead of FastStream's own format."""

    @classmethod
    async def encode(cls, **parts: Any) -> bytes:
        """See `MessageFormat.encode`."""
        return (await cls.build(**parts)).data

    @classmethod
    def parse(cls, data: bytes) -> tuple[bytes, dict[str, Any]]:
        """See `MessageFormat.parse`."""
        return data, {"content-type": "application/json"}


async def main(url: str) -> None:
    """Consume until SIGTERM."""
    redis = Redis.from_url(url)
    broker = RedisBroker(url, message_format=PlainJson, logger=None)  # type: ignore[arg-type]  # documented

    # Without max_records, one read would load the whole backlog into memory.
    @broker.subscriber(stream=StreamSub(STREAM, group=GROUP, consumer="naive-1", max_records=100))
    async def on_report(event: Event) -> None:
        key = f"naive:{event.data.image_id}"
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.sadd(key, event.data.reporter_id)
            pipeline.scard(key)
            pipeline.expire(key, WINDOW)
            added, reporters, _ = await pipeline.execute()
        if added and reporters == THRESHOLD:
            await broker.publish({"image_id": event.data.image_id}, stream="image.blocked")

    try:
        await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    await FastStream(broker, logger=None).run()
    await redis.aclose()


if __name__ == "__main__":
    uvloop.run(main(os.environ["BENCH_URL"]))
