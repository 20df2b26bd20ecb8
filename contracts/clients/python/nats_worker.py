"""Applies decisions; start several, and they share the work.

NATS_URL=nats://localhost python nats_worker.py
"""

import asyncio
import os
import sys

import nats
from decisions import apply
from nats.js.api import ConsumerConfig

GROUP = os.environ.get("GROUP", "gallery")
TAKE_OVER_AFTER = int(os.environ.get("TAKE_OVER_AFTER", "30"))  # seconds, longer than applying 100 takes


async def follow(jetstream, channel):
    durable = f"{GROUP}-{channel.replace('.', '-')}"  # one for all workers
    config = ConsumerConfig(ack_wait=TAKE_OVER_AFTER)
    while True:
        try:
            unread = await jetstream.pull_subscribe(channel, durable, "IMAGE_MODERATION", config=config)
            while True:
                try:
                    messages = await unread.fetch(100, timeout=2)
                except TimeoutError:  # there is nothing
                    continue
                for message in messages:
                    apply(message.data)
                    await message.ack()
        except nats.errors.Error as error:
            print(f"waiting: {error!r}", file=sys.stderr)
            await asyncio.sleep(1)


async def main():
    client = await nats.connect(os.environ["NATS_URL"], max_reconnect_attempts=-1)
    jetstream = client.jetstream()
    await asyncio.gather(*(follow(jetstream, channel) for channel in ("image.blocked", "image.unblocked")))


asyncio.run(main())
