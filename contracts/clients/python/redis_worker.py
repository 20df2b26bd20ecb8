"""Applies decisions; start several, and they share the work.

REDIS_URL=redis://localhost:6379 python redis_worker.py
"""

import os
import socket
import sys
import time
from contextlib import suppress

import redis
from decisions import apply

GROUP, WORKER = os.environ.get("GROUP", "gallery"), f"{socket.gethostname()}-{os.getpid()}"
TAKE_OVER_AFTER = int(os.environ.get("TAKE_OVER_AFTER", "30"))  # seconds, longer than applying 100 takes
CHANNELS = ("image.blocked", "image.unblocked")
client = redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


def work(channel, entries):
    for entry, fields in entries:
        if entry:  # None from Redis 6.2 if it was deleted
            apply(fields["__data__"])
            client.xack(channel, GROUP, entry)


while True:
    try:
        for channel in CHANNELS:
            with suppress(redis.ResponseError):  # the group is there already
                client.xgroup_create(channel, GROUP, id="0", mkstream=True)
        while True:
            for channel in CHANNELS:  # given to a worker that died, or while the server died
                work(channel, client.xautoclaim(channel, GROUP, WORKER, TAKE_OVER_AFTER * 1000)[1])
            unread = client.xreadgroup(GROUP, WORKER, dict.fromkeys(CHANNELS, ">"), count=100, block=2000)
            for channel, entries in unread or ():
                work(channel, entries)
    except redis.RedisError as error:
        print(f"waiting: {error}", file=sys.stderr)
        time.sleep(1)
