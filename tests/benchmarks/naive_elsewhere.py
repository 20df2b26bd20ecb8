"""The handler of `naive` on the other brokers: one message at a time, with FastStream's defaults.

`python -m tests.benchmarks.naive_elsewhere` consumes from BENCH_URL, keeps its sets in BENCH_STORE_URL, and
prints the count and the time after every 100th report, for the benchmark.
"""

import os
import time
from typing import Any

import uvloop
from faststream import FastStream
from redis.asyncio import Redis

from tests.benchmarks.naive import THRESHOLD, WINDOW, Event

CHANNEL, BLOCKED, GROUP = "image.reported", "image.blocked", "image-moderation"
EVERY = 100


async def main(url: str, store_url: str) -> None:
    """Consume until SIGTERM."""
    redis = Redis.from_url(store_url)
    done = 0
    broker, subscriber, target = _nats(url) if url.startswith("nats") else _other(url)

    @subscriber  # type: ignore[untyped-decorator]  # the decorator of any broker
    async def on_report(event: Event) -> None:
        nonlocal done
        key = f"naive:{event.data.image_id}"
        async with redis.pipeline(transaction=False) as pipeline:
            pipeline.sadd(key, event.data.reporter_id)
            pipeline.scard(key)
            pipeline.expire(key, WINDOW)
            added, reporters, _ = await pipeline.execute()
        if added and reporters == THRESHOLD:
            await broker.publish({"image_id": event.data.image_id}, **target)
        done += 1
        if done % EVERY == 0:
            print(done, time.monotonic(), flush=True)

    await FastStream(broker, logger=None).run()
    await redis.aclose()


def _nats(url: str) -> tuple[Any, Any, dict[str, Any]]:
    from faststream.nats import JStream, NatsBroker
    from nats.js.api import DeliverPolicy

    broker = NatsBroker(url, logger=None)
    stream = JStream("IMAGE_MODERATION", subjects=["image.>"], declare=False)
    subscriber = broker.subscriber(CHANNEL, durable=GROUP, stream=stream, deliver_policy=DeliverPolicy.ALL)
    return broker, subscriber, {"subject": BLOCKED}


def _other(url: str) -> tuple[Any, Any, dict[str, Any]]:
    if url.startswith("amqp"):
        from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

        # Without a prefetch limit, it gets the whole backlog and runs out of connections to its store.
        rabbit = RabbitBroker(url, logger=None, default_channel=Channel(prefetch_count=100))
        exchange = RabbitExchange("image-moderation", type=ExchangeType.TOPIC, durable=True, declare=False)
        queue = RabbitQueue(f"{GROUP}.{CHANNEL}", durable=True, declare=False)
        subscriber: Any = rabbit.subscriber(queue, exchange)
        return rabbit, subscriber, {"exchange": exchange, "routing_key": BLOCKED}
    from faststream.confluent import KafkaBroker

    kafka = KafkaBroker(url.removeprefix("kafka://"), logger=None, allow_auto_create_topics=False)
    return (
        kafka,
        kafka.subscriber(CHANNEL, group_id=GROUP, auto_offset_reset="earliest"),
        {"topic": BLOCKED},
    )


if __name__ == "__main__":
    uvloop.run(main(os.environ["BENCH_URL"], os.environ["BENCH_STORE_URL"]))
