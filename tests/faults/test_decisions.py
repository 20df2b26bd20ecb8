"""Verdicts and withheld blocks, through the running service: once, across replicas and crashes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import redis

from service.embedded import EmbeddedRedis
from service.events.render import report_event, review_event
from tests.faults.outcome import BLOCKED, REPORTED, entries, wait_done
from tests.servers import wait_until
from tests.service_process import ServiceProcess

REVIEWED, UNBLOCKED, REQUESTED = "image.reviewed", "image.unblocked", "image.review-requested"
IMAGES = [f"img-{n}" for n in range(40)]


def publish_reports(client: Any, people: int, *, images: list[str] = IMAGES, first: int = 0) -> None:
    now = client.time()[0] * 1000
    for image in images:
        for person in range(first, first + people):
            event = report_event(
                event_id=f"{image}-{person}",
                source="/tests",
                time=now,
                image_id=image,
                reporter_id=f"user-{person}",
            )
            client.xadd(REPORTED, {"__data__": event})


def publish_verdict(client: Any, image: str, verdict: str, time: int) -> None:
    event = review_event(
        event_id=f"{image}-{verdict}-{time}",
        source="/tests",
        time=time,
        image_id=image,
        upheld=verdict == "upheld",
    )
    client.xadd(REVIEWED, {"__data__": event})


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


def test_a_cleared_image_is_unblocked_and_stays_open(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    client: Any = redis.Redis.from_url(redis_server.url)
    with ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": redis_server.url}) as service:
        publish_reports(client, 5)
        wait_until(lambda: len(entries(client, BLOCKED)) == len(IMAGES), "every image is blocked")
        now = client.time()[0] * 1000
        publish_verdict(client, IMAGES[0], "cleared", now)
        publish_verdict(client, IMAGES[0], "cleared", now)
        publish_verdict(client, IMAGES[1], "upheld", now)
        publish_verdict(client, IMAGES[1], "cleared", now - 1000)
        publish_verdict(client, "img-unheard-of", "upheld", now)
        wait_until(lambda: len(entries(client, UNBLOCKED)) == 1, "one image is unblocked")
        publish_reports(client, 9, images=IMAGES[:1], first=10)
        wait_done(client)
        wait_until(
            lambda: len(entries(client, BLOCKED)) == len(IMAGES) + 1, "the other is blocked by a person"
        )
        assert 'moderation_verdicts_total{outcome="cleared"} 1.0' in service.get("/metrics")[1]
    (unblocked,) = decided(client, UNBLOCKED)
    assert (unblocked["image_id"], unblocked["trigger"], unblocked["revision"]) == (IMAGES[0], "moderator", 2)
    last = decided(client, BLOCKED)[-1]
    assert (last["image_id"], last["automated"], last["distinct_reporters"]) == ("img-unheard-of", False, 0)
    assert "first_reported_at" not in last


def test_shadow_mode_publishes_nothing_and_counts(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    client = redis.Redis.from_url(redis_server.url)
    env = {"MODERATION_BROKER_URL": redis_server.url, "MODERATION_MODE": "shadow"}
    with ServiceProcess(tmp_path, env) as service:
        publish_reports(client, 7)
        wait_done(client)
        labels = 'decision="block",mode="shadow",trigger="threshold"'
        wanted = f"moderation_decisions_total{{{labels}}} {len(IMAGES)}.0"
        wait_until(lambda: wanted in service.get("/metrics")[1], "each is counted once")
    assert entries(client, BLOCKED) == []
