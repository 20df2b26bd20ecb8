"""Reports an image for one person: NATS_URL=nats://localhost python nats_producer.py IMAGE REPORTER

With FastStream 0.7: pip install 'faststream[nats]'
"""

import asyncio
import os
import sys
import uuid
from datetime import UTC, datetime

from faststream.nats import NatsBroker


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
    headers = {"Nats-Msg-Id": event["id"]}
    async with NatsBroker(os.environ["NATS_URL"]) as broker:
        # With the stream: without it nobody confirms that the report is stored.
        await broker.publish(event, "image.reported", stream="IMAGE_MODERATION", headers=headers)


asyncio.run(report(*sys.argv[1:]))
