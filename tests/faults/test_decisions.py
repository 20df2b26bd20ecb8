"""Withheld blocks are published once, across replicas and crashes."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from image_moderation.embedded import EmbeddedRedis
from image_moderation.events.render import report_event
from tests.support.outcome import BLOCKED, REPORTED, entries, wait_done
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

REQUESTED = "image.review-requested"
IMAGES = [f"img-{n}" for n in range(40)]


def publish_reports(client: Any, people: int, images: Sequence[str] = IMAGES) -> None:
    now = client.time()[0] * 1000
    for image in images:
        for person in range(people):
            event = report_event(
                event_id=f"{image}-{person}",
                source="/tests",
                time=now,
                image_id=image,
                reporter_id=f"user-{person}",
            )
            client.xadd(REPORTED, {"__data__": event})


def decided(client: Any, stream: str) -> list[dict[str, Any]]:
    return [json.loads(event)["data"] for event in entries(client, stream)]


def images_of(client: Any, stream: str) -> Counter[str]:
    return Counter(data["image_id"] for data in decided(client, stream))


def test_a_withheld_block_comes_once_though_replicas_race_and_one_is_killed(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    client = redis.Redis.from_url(redis_server.url)
    env = {
        "MODERATION_BROKER_URL": redis_server.url,
        "MODERATION_REVIEW_THRESHOLD": "2",
        "MODERATION_REVIEW_GRACE": "2s",
    }
    with (
        ServiceProcess(tmp_path, env, name="one") as one,
        ServiceProcess(tmp_path, env, name="two"),
        ServiceProcess(tmp_path, env, name="three"),
    ):
        publish_reports(client, 5)
        wait_until(lambda: len(entries(client, REQUESTED)) == len(IMAGES), "every review is asked for")
        assert entries(client, BLOCKED) == []
        one.kill()
        wait_until(lambda: len(entries(client, BLOCKED)) >= len(IMAGES), "every block has come", 20)
        wait_done(client)
    assert images_of(client, BLOCKED) == Counter(IMAGES)
    assert images_of(client, REQUESTED) == Counter(IMAGES)
    assert all(data["trigger"] == "threshold" and data["automated"] for data in decided(client, BLOCKED))


def test_the_breaker_alone_lets_a_withheld_block_come_once_there_is_room(
    redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    client: Any = redis.Redis.from_url(redis_server.url)
    env = {"MODERATION_BROKER_URL": redis_server.url, "MODERATION_MAX_BLOCKS_PER_HOUR": "1"}
    with ServiceProcess(tmp_path, env):
        publish_reports(client, 5, ["img-1"])
        wait_until(lambda: images_of(client, BLOCKED)["img-1"], "one block passes")
        publish_reports(client, 5, ["img-2"])
        wait_until(lambda: images_of(client, REQUESTED)["img-2"], "a review in place of the second")
        # An hour later:
        client.delete("moderation:breaker")
        (due,) = client.keys("moderation:{p*}:due")
        client.zadd(due, {"img-2": 0})
        wait_until(lambda: images_of(client, BLOCKED)["img-2"], "it blocks by itself")
