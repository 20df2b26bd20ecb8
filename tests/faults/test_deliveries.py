"""A message that is delivered too often is parked; its neighbours are not."""

from pathlib import Path
from typing import Any

import redis

from image_moderation.embedded import EmbeddedRedis
from tests.support.outcome import DEAD, GROUP, REPORTED, entries, make_sample, send, wait_done
from tests.support.service_process import ServiceProcess


def test_a_message_over_the_cap_is_parked_alone(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    client: Any = redis.Redis.from_url(redis_server.url)
    messages, _ = make_sample(20, malformed=0)
    send(client, messages)
    client.xgroup_create(REPORTED, GROUP, id="0")
    positions = [position for position, _ in client.xrange(REPORTED)]
    client.xreadgroup(GROUP, "dead", {REPORTED: ">"})
    # As if the first message had killed its reader repeatedly, and the others had been claimed with it.
    client.xclaim(REPORTED, GROUP, "dead", 0, positions[:1], retrycount=10)
    client.xclaim(REPORTED, GROUP, "dead", 0, positions[1:], retrycount=3)
    env = {"MODERATION_BROKER_URL": redis_server.url, "REDELIVER_AFTER": "100"}
    with ServiceProcess(tmp_path, env, module="tests.support.failing_service"):
        wait_done(client)
    (letter,) = entries(client, DEAD)
    assert b'"reason":"too_many_deliveries"' in letter
    assert f'"position":"{positions[0].decode()}"'.encode() in letter
