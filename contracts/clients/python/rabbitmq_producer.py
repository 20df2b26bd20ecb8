"""Sends each line of standard input as a report.

AMQP_URL=amqp://localhost python rabbitmq_producer.py
"""

import asyncio
import os
import sys

import aio_pika
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from reports import reports


async def send(event_id, body):
    async with await aio_pika.connect(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange("image-moderation")
        message = aio_pika.Message(
            body,
            message_id=event_id,
            content_type="application/cloudevents+json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(message, "image.reported", mandatory=True, timeout=10)


async def main():
    for image_id, event_id, body in reports():
        while True:  # until it is stored; a repetition has the same id and time, so it counts once
            try:
                await send(event_id, body)
                break
            # An error is also that no queue is bound, because the service has never run.
            except (AMQPError, ChannelInvalidStateError, OSError) as error:
                print(f"waiting: {error!r}", file=sys.stderr)
                await asyncio.sleep(1)
        print("reported", image_id, flush=True)


asyncio.run(main())
