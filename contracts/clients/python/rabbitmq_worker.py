"""Applies decisions; start several, and they share the work.

AMQP_URL=amqp://localhost python rabbitmq_worker.py
"""

import asyncio
import os
import sys

import aio_pika
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from decisions import apply

QUEUE = f"{os.environ.get('GROUP', 'gallery')}.decisions"


async def work():
    async with await aio_pika.connect(os.environ["AMQP_URL"], heartbeat=10) as connection:
        async with asyncio.timeout(20):  # just after its start, a server may leave a call unanswered
            channel = await connection.channel()
            await channel.set_qos(100)
            await channel.declare_exchange("image-moderation", aio_pika.ExchangeType.TOPIC, durable=True)
            queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
            for key in ("image.blocked", "image.unblocked"):
                await queue.bind("image-moderation", key)
            messages = queue.iterator()
            await messages.consume()
        async for message in messages:  # until the connection ends
            apply(message.body)
            await message.ack()  # what a worker has not acked as it dies, the server gives to another


async def main():
    while True:
        try:
            await work()
        except (AMQPError, ChannelInvalidStateError, OSError) as error:
            print(f"waiting: {error!r}", file=sys.stderr)
        await asyncio.sleep(1)


asyncio.run(main())
