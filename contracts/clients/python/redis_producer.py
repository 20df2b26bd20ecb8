"""Sends each line of standard input as a report.

REDIS_URL=redis://localhost:6379 python redis_producer.py
"""

import os
import sys
import time

import redis
from reports import reports

client = redis.Redis.from_url(os.environ["REDIS_URL"])
for image_id, _, body in reports():
    while True:  # until it is stored; a repetition has the same id and time, so it counts once
        try:
            client.xadd("image.reported", {"__data__": body})
            break
        except redis.RedisError as error:
            print(f"waiting: {error}", file=sys.stderr)
            time.sleep(1)
    print("reported", image_id, flush=True)
