"""What the service says on standard error: JSON alone where JSON is chosen, no warning without a reason."""

import json
from pathlib import Path

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.harness import Harness
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

REPORT = json.dumps(
    {
        "specversion": "1.0",
        "id": "r-1",
        "source": "/gallery",
        "type": "image.reported.v1",
        "data": {"image_id": "img-42", "reporter_id": "user-7"},
    }
).encode()


def test_a_start_and_a_normal_stop_are_json_without_a_warning(
    broker: Harness, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    env = {
        "MODERATION_BROKER_URL": broker.url,
        "MODERATION_STORE_URL": f"{redis_server.tcp_url}/1",
        "MODERATION_BLOCK_THRESHOLD": "1",
        "PYTHONWARNINGS": "default",
    }
    with ServiceProcess(tmp_path, env, timeout=40) as service:
        broker.publish("image.reported", [REPORT])
        wait_until(lambda: broker.read("image.blocked"), "it is blocked", 20)
        service.terminate()
        assert service.wait() == 0
        lines = [json.loads(line) for line in service.log.splitlines()]
    assert {"started", "decision", "draining", "stopped"} <= {line["event"] for line in lines}
    warnings = [line for line in lines if line["level"] not in ("debug", "info")]
    # Kafka's group takes three seconds to let a first member in; that is said, as any wait.
    assert [line for line in warnings if (line.get("check"), broker.name) != ("intake", "kafka")] == []
