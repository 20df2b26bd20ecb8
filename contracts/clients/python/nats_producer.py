"""Sends each line of standard input as a report.

NATS_URL=nats://localhost python nats_producer.py
"""

import asyncio
import os
import sys

import nats
from reports import reports


async def main():
    client = await nats.connect(os.environ["NATS_URL"], max_reconnect_attempts=-1)
    jetstream = client.jetstream()
    for image_id, _, body in reports():
        while True:  # until it is stored; a repetition has the same id and time, so it counts once
            try:
                # Published to the stream and not just to the subject: it answers once the report is stored.
                await jetstream.publish("image.reported", body)
                break
            except (nats.errors.Error, TimeoutError) as error:
                print(f"waiting: {error!r}", file=sys.stderr)
                await asyncio.sleep(1)
        print("reported", image_id, flush=True)
    await client.close()


asyncio.run(main())
