"""Verdicts with the real service: what a verdict does to a block, and what requests a review."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from image_moderation.domain.report import Verdict
from image_moderation.embedded import EmbeddedRedis
from image_moderation.events.render import report_event, review_event
from image_moderation.wiring import clock
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until


class Site:
    """Publishes a site's events, and reads the decisions."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def report(self, image: str, *reporters: str, reason: str | None = None) -> None:
        for reporter in reporters:
            body = report_event(
                event_id=str(uuid4()),
                source="/gallery",
                time=clock(),
                image_id=image,
                reporter_id=reporter,
                reason=reason,
            )
            self.client.xadd("image.reported", {"__data__": body})

    def judge(self, image: str, verdict: Verdict) -> None:
        body = review_event(
            event_id=str(uuid4()), source="/desk", time=clock(), image_id=image, verdict=verdict
        )
        self.client.xadd("image.reviewed", {"__data__": body})

    def told(self, channel: str, at_least: int = 0) -> list[dict[str, Any]]:
        def events() -> list[dict[str, Any]]:
            entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.client.xrange(channel))
            return [json.loads(fields[b"__data__"]) for _, fields in entries]

        wait_until(lambda: len(events()) >= at_least, f"{at_least} events on {channel}")
        return [event["data"] for event in events()]


@pytest.fixture
def site(redis_server: EmbeddedRedis) -> Iterator[Site]:
    with redis.Redis.from_url(redis_server.tcp_url) as client:
        yield Site(client)


def service(tmp_path: Path, server: EmbeddedRedis, **variables: str) -> ServiceProcess:
    named = {f"MODERATION_{name.upper()}": value for name, value in variables.items()}
    return ServiceProcess(
        tmp_path, {"MODERATION_BROKER_URL": server.tcp_url, "MODERATION_BLOCK_THRESHOLD": "3", **named}
    )


def metric(running: ServiceProcess, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(running.get("/metrics")[1])
    samples = [sample for family in families for sample in family.samples]
    return next(one.value for one in samples if one.name == name and one.labels == labels)


def test_a_verdict_unblocks_for_good_and_another_blocks_what_nobody_reported(
    redis_server: EmbeddedRedis, site: Site, tmp_path: Path
) -> None:
    with service(tmp_path, redis_server) as running:
        site.report("img", "ann", "ben", "cyd")
        [blocked] = site.told("image.blocked", 1)
        site.judge("img", Verdict.CLEARED)
        [unblocked] = site.told("image.unblocked", 1)
        site.report("img", "dan", "eve", "fay", "gus")
        site.judge("other", Verdict.UPHELD)
        other = site.told("image.blocked", 2)[1]
        wait_until(lambda: metric(running, "moderation_reports_total", outcome="late") == 4, "none counts")
        assert metric(running, "moderation_verdicts_total", outcome="cleared") == 1
        assert metric(running, "moderation_verdicts_total", outcome="upheld") == 1
        labels = {"decision": "unblock", "trigger": "moderator", "mode": "live"}
        assert metric(running, "moderation_decisions_total", **labels) == 1
    assert (blocked["automated"], blocked["trigger"]) == (True, "threshold")
    assert unblocked == {
        "image_id": "img",
        "revision": 2,
        "state": "open",
        "decided_at": unblocked["decided_at"],
        "automated": False,
        "trigger": "moderator",
        "policy": blocked["policy"],
    }
    assert unblocked["decided_at"] > blocked["decided_at"]
    assert (other["image_id"], other["automated"], other["trigger"]) == ("other", False, "moderator")
    assert (other["distinct_reporters"], other["reasons"]) == (0, {})
    assert "first_reported_at" not in other
    assert len(site.told("image.blocked")) == 2


def test_an_urgent_reason_and_enough_reporters_ask_for_a_review_once(
    redis_server: EmbeddedRedis, site: Site, tmp_path: Path
) -> None:
    with service(tmp_path, redis_server, urgent_reasons="csam", review_threshold="2") as running:
        site.report("urgent", "ann", reason="csam")
        site.report("urgent", "ben", reason="csam")
        site.report("slow", "ann", "ben")
        requests = {one["image_id"]: one for one in site.told("image.review-requested", 2)}
        wait_until(lambda: metric(running, "moderation_reports_total", outcome="counted") == 4, "all count")
    urgent, slow = requests["urgent"], requests["slow"]
    assert (urgent["trigger"], urgent["distinct_reporters"]) == ("urgent_reason", 1)
    assert (slow["trigger"], slow["distinct_reporters"], slow["state"]) == ("review_threshold", 2, "open")
    assert len(site.told("image.review-requested")) == 2
    assert site.told("image.blocked") == []


def test_shadow_mode_counts_and_logs_and_publishes_nothing(
    redis_server: EmbeddedRedis, site: Site, tmp_path: Path
) -> None:
    labels = {"decision": "block", "trigger": "threshold", "mode": "shadow"}
    with service(tmp_path, redis_server, mode="shadow") as running:
        site.report("img", "ann", "ben", "cyd", "dan", "eve")
        wait_until(lambda: metric(running, "moderation_decisions_total", **labels) == 1, "it is counted")
        wait_until(lambda: metric(running, "moderation_reports_total", outcome="counted") == 5, "all count")
        assert metric(running, "moderation_decisions_total", **labels) == 1, "once"
        assert running.log_path.read_text().count('"shadow_decision"') == 1
    assert site.told("image.blocked") == []
