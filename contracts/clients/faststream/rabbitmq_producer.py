"""Reports an image for one person: AMQP_URL=amqp://localhost python rabbitmq_producer.py IMAGE REPORTER

With FastStream 0.7: pip install 'faststream[rabbit]'
"""

import asyncio
import os
import sys
import uuid
from datetime import UTC, datetime

from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange


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
    # Without a queue bound to it the exchange would drop the report: `on_return_raises` makes that an error.
    channel = Channel(publisher_confirms=True, on_return_raises=True)
    exchange = RabbitExchange("image-moderation", type=ExchangeType.TOPIC, durable=True)
    async with RabbitBroker(os.environ["AMQP_URL"], default_channel=channel) as broker:
        await broker.publish(
            event,
            exchange=exchange,
            routing_key="image.reported",
            content_type="application/cloudevents+json",
            message_id=event["id"],
            mandatory=True,
            persist=True,
        )


asyncio.run(report(*sys.argv[1:]))
