"""Reports an image for one person: KAFKA_BROKERS=localhost:9092 python kafka_producer.py IMAGE REPORTER

With FastStream 0.7: pip install 'faststream[confluent]'
"""

import asyncio
import os
import sys
import uuid
from datetime import UTC, datetime

from faststream.confluent import KafkaBroker


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
    servers = os.environ["KAFKA_BROKERS"].split(",")
    async with KafkaBroker(servers, acks="all", allow_auto_create_topics=False) as broker:
        # The key keeps an image's reports on one partition. The service works a little less with it.
        await broker.publish(event, "image.reported", key=image_id.encode())


asyncio.run(report(*sys.argv[1:]))
