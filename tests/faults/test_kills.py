"""SIGKILL at every step between read and ack: nothing is lost, and each block is published exactly once."""

import signal
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from tests.support.failing_service import STEPS
from tests.support.outcome import make_sample, send, wait_done, wrong
from tests.support.service_process import ServiceProcess

MODULE = "tests.support.failing_service"
ONE_REDIS = [step for step in STEPS if not step.endswith(("publish", "settle"))]
TWO_REDIS = [step for step in STEPS if not step.endswith("deliver")]


def _kill_and_recover(server: EmbeddedRedis, tmp_path: Path, step: str, store_url: str | None) -> None:
    client: Any = redis.Redis.from_url(server.url)
    store = redis.Redis.from_url(store_url) if store_url else client
    messages, expected = make_sample()
    send(client, messages)
    env = {
        "MODERATION_BROKER_URL": server.url,
        "MODERATION_STORE_URL": store_url,
        "MODERATION_BATCH_SIZE": "100",
        "REDELIVER_AFTER": "300",
    }
    failing = ServiceProcess(
        tmp_path, env | {"FAILPOINT": f"{step}:2"}, module=MODULE, wait="", name="failing"
    )
    with failing:
        assert failing.wait() == -signal.SIGKILL
    with ServiceProcess(tmp_path, env, module=MODULE):
        wait_done(client, store)
    assert wrong(client, expected) == []


@pytest.mark.parametrize("step", ONE_REDIS)
def test_a_kill_where_broker_and_store_are_one_redis(
    redis_server: EmbeddedRedis, tmp_path: Path, step: str
) -> None:
    _kill_and_recover(redis_server, tmp_path, step, None)


@pytest.mark.parametrize("step", TWO_REDIS)
def test_a_kill_where_the_store_is_another_database(
    redis_server: EmbeddedRedis, tmp_path: Path, step: str
) -> None:
    _kill_and_recover(redis_server, tmp_path, step, f"{redis_server.tcp_url}/1")
