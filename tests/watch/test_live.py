"""Runs every query of the dashboard and every rule on a real Prometheus that scrapes the real service."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import redis

from image_moderation.domain.report import Verdict
from image_moderation.embedded import EmbeddedRedis
from image_moderation.events.render import review_event
from image_moderation.wiring import clock
from tests.benchmarks.load import publish, sample
from tests.support.prometheus import JOB, Prometheus
from tests.support.rules import DASHBOARD, NOT_YET, rules, runbook_queries, selectors
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

VARIABLES = {"$job": JOB, "$instance": ".*", "$__rate_interval": "1m", "$__range": "1m"}
"""Values of the dashboard's variables, as Grafana would set them; the whole load fits in one minute."""

OPTIONS = {
    "BATCH_SIZE": "50",
    "REVIEW_THRESHOLD": "3",
    "URGENT_REASONS": "violence",
    # Low enough that the sample opens the breaker.
    "MAX_BLOCKS_PER_HOUR": "10",
}


class Watched(NamedTuple):
    prometheus: Prometheus
    client: redis.Redis


@pytest.fixture
def watched(redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[Watched]:
    """A service that has processed every kind of event, and a Prometheus that scraped it from the start."""
    env: dict[str, str | None] = {f"MODERATION_{name}": value for name, value in OPTIONS.items()}
    env["MODERATION_BROKER_URL"] = redis_server.url
    with ExitStack() as stack:
        client = stack.enter_context(redis.Redis.from_url(redis_server.url))
        service = stack.enter_context(ServiceProcess(tmp_path, env))
        target = urlsplit(service.url).netloc
        prometheus = stack.enter_context(Prometheus(tmp_path, target))
        # A rate needs an earlier sample.
        until(prometheus, "moderation_ready == 1")
        work(client, prometheus)
        yield Watched(prometheus, client)


def until(prometheus: Prometheus, expression: str) -> None:
    wait_until(lambda: prometheus.query(expression), f"Prometheus says {expression}", timeout=20)


def work(client: redis.Redis, prometheus: Prometheus) -> None:
    """Publish reports of every kind and malformed messages, then verdicts on blocked images."""
    messages = sample(1_500, seed=11, now=clock(), malformed=0.04)
    for _ in publish(client, messages):
        pass
    blocked = cast(
        "list[tuple[bytes, dict[bytes, bytes]]]",
        wait_until(lambda: client.xrange("image.blocked"), "an image is blocked"),
    )
    images = [json.loads(fields[b"__data__"])["data"]["image_id"] for _, fields in blocked]
    for image, verdict in (
        (images[0], Verdict.CLEARED),
        (images[-1], Verdict.UPHELD),
        ("img-nobody-reported", Verdict.UPHELD),
    ):
        body = review_event(
            event_id=str(uuid4()), source="/desk", time=clock(), image_id=image, verdict=verdict
        )
        client.xadd("image.reviewed", {"__data__": body})
    until(prometheus, f"sum(moderation_reports_total) == {len(messages)}")
    until(prometheus, "sum(moderation_verdicts_total) == 3")
    until(prometheus, 'moderation_decisions_total{decision="unblock"} == 1')
    until(prometheus, "moderation_breaker_open == 1")


def dashboard_queries() -> list[str]:
    found = []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = re.sub(rf"{re.escape(name)}\b", value, expression)
            assert "$" not in expression, expression
            found.append(expression)
    return found


def without_data(ask: Callable[[str], list[float]], expressions: list[str]) -> list[str]:
    return [expression for expression in expressions if not ask(expression)]


def breaker_states(watched: Watched) -> set[str]:
    return {
        rule["state"] for rule in watched.prometheus.rules() if rule["name"] == "ImageModerationBreakerOpen"
    }


def test_every_query_and_every_rule_finds_data(watched: Watched) -> None:
    ask = watched.prometheus.query
    queries = dashboard_queries()
    asked = {
        selector
        for expression in [*(rule["expr"] for rule in rules()), *runbook_queries()]
        for selector, metric in selectors(expression).items()
        if metric not in NOT_YET
    }
    assert len(queries) > 30
    # Recorded series and rates need further evaluations and scrapes.
    with suppress(AssertionError):  # the next line says which ones
        wait_until(lambda: not without_data(ask, [*queries, *asked]), "all have data", timeout=10)
    assert without_data(ask, [*queries, *asked]) == []

    # The alert fires at the rule's next evaluation.
    wait_until(lambda: "firing" in breaker_states(watched), "the breaker's alert fires", timeout=20)
    seen = watched.prometheus.rules()
    assert len(seen) == len(rules())
    assert {rule["health"] for rule in seen} == {"ok"}, [rule for rule in seen if rule["health"] != "ok"]
    states = {rule["name"]: rule["state"] for rule in seen if rule["type"] == "alerting"}
    # Only the provoked alert fires.
    assert states["ImageModerationBreakerOpen"] == "firing"
    for name in ("Absent", "NotReady", "Stalled", "OutboxAge", "DeadLetterFlood", "Unroutable"):
        assert states[f"ImageModeration{name}"] == "inactive", name
