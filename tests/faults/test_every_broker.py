"""The real service on every broker: a pass with a kill and a stop under load. `test_faults.py` has more."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from image_moderation.embedded import EmbeddedRedis
from tests.benchmarks.model import Kind, Message, count
from tests.support import special_ids
from tests.support.brokers import BROKERS, OLD_NATS
from tests.support.brokers.harness import Harness
from tests.support.outcome import make_sample
from tests.support.site import BLOCKED, REPORTED, Site
from tests.support.waiting import wait_until


@pytest.fixture
def site(broker: Harness, redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[Site]:
    site = Site(broker, f"{redis_server.tcp_url}/1", tmp_path)
    yield site
    site.close()


@pytest.mark.parametrize("broker", [*BROKERS, OLD_NATS], indirect=True)
def test_one_pass(site: Site) -> None:
    messages, _ = make_sample()
    messages += special_ids.messages()
    for number, place in enumerate((0, len(messages) // 2, len(messages) + 2)):
        # At the first, a middle and the last position, where batch handling most likely fails.
        messages.insert(place, Message(b"\xff no event %d" % number, Kind.MALFORMED, "not_utf8"))
    expected = count(messages)
    third = len(messages) // 3
    site.publish(messages[:third])  # published before the first start
    service = site.replica()
    site.publish(messages[third : 2 * third])
    assert service.kill() == -9
    service.start()
    site.publish(messages[2 * third :])
    service.terminate()
    assert service.wait() == 0
    service.start()
    site.wait_done()
    assert site.wrong(expected) == []
    assert "Traceback" not in service.log_path.read_text()


def reports(image: str, count: int = 5) -> list[bytes]:
    return [
        json.dumps(
            {
                "specversion": "1.0",
                "id": f"{image}-{n}",
                "source": "/gallery",
                "type": "image.reported.v1",
                "data": {"image_id": image, "reporter_id": f"user-{n}"},
            }
        ).encode()
        for n in range(count)
    ]


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)  # the other brokers accept it
def test_a_decision_that_nobody_is_bound_for(site: Site) -> None:
    service = site.replica()
    site.harness.unbind(BLOCKED)
    site.harness.publish(REPORTED, reports("a"))
    wait_until(
        lambda: "moderation_unroutable_total 0.0" not in service.get("/metrics")[1], "it is alerted", 20
    )
    site.harness.publish(REPORTED, reports("b"))
    wait_until(lambda: site.harness.waiting(REPORTED) == 0, "reading goes on")
    assert site.undelivered() == 2
    assert service.get("/readyz")[0] == 200
    site.harness.bind(BLOCKED)
    site.wait_done()
    assert {json.loads(body)["data"]["image_id"] for body in site.blocks()} == {"a", "b"}


@pytest.mark.soak
@pytest.mark.timeout(180)
@pytest.mark.parametrize("broker", ["redis", "nats", "rabbitmq"], indirect=True)  # these keep their data
def test_the_broker_is_killed_while_idle(site: Site) -> None:
    service = site.replica()
    site.harness.publish(REPORTED, reports("before"))
    site.wait_done()
    site.harness.kill()
    service.wait_ready(ready=False)
    site.harness.restart()
    service.wait_ready()
    site.harness.publish(REPORTED, reports("after"))
    site.wait_done()
    assert {json.loads(body)["data"]["image_id"] for body in site.blocks()} == {"before", "after"}
    service.terminate()
    assert service.wait() == 0
