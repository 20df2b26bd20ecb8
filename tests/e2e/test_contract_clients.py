"""The programs of contracts/clients, which know only the contract, against the real service and broker.

Those of all languages run side by side, each with its own group and its own record of blocked images, so that
one restart of the server is for all.
"""

import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.harness import Harness
from tests.support.contract_programs import CLIENTS, Language
from tests.support.service_process import ROOT, ServiceProcess
from tests.support.waiting import wait_until

IMAGE, SECOND = "写真/桜🌸.png", "写真 2"
MANY = [f"img-{number}" for number in range(40)]
PATIENCE = 60
"""Seconds. Kafka's clients take the longest to share the work anew."""


def decision(image: str, decided_at: str, event_type: str = "image.blocked.v1") -> bytes:
    """Return an event as the service publishes it, as far as the programs look at it."""
    data = {"image_id": image, "revision": 1, "state": "blocked", "decided_at": decided_at}
    return json.dumps({"specversion": "1.0", "type": event_type, "data": data}).encode()


@contextmanager
def killed(broker: Harness) -> Iterator[None]:
    """The server is dead in this block; not Kafka's mock, which would come back empty and elsewhere."""
    if broker.features.survives_kill:
        broker.kill()
    yield
    if broker.features.survives_kill:
        broker.restart()


@pytest.fixture
def languages(broker: Harness, tmp_path: Path) -> Iterator[list[Language]]:
    broker.publish("image.reported", [])  # declares what a producer needs
    names = ("python", "javascript", *(["shell"] if broker.name == "redis" else []))
    with ExitStack() as stack:
        languages = [Language(name, broker.name, broker.site_url, tmp_path) for name in names]
        for language in languages:
            stack.callback(language.close)
        yield languages


def test_workers_and_producers_outlive_the_server_and_each_other(
    broker: Harness, redis_server: EmbeddedRedis, languages: list[Language], tmp_path: Path
) -> None:
    def wait(acts: set[str], description: str) -> None:
        for language in languages:
            try:
                wait_until(lambda: acts <= language.acts.keys(), description, PATIENCE)  # noqa: B023 - awaited here
            except AssertionError as error:
                raise AssertionError(f"{language.name}: {error}\n{language.errors}") from None

    def reaches_all(event: bytes) -> bool:
        broker.publish("image.blocked", [event])
        return all(language.acts for language in languages)

    env = {
        "MODERATION_BROKER_URL": broker.url,
        "MODERATION_STORE_URL": broker.url if broker.name == "redis" else f"{redis_server.tcp_url}/1",
        "MODERATION_BLOCK_THRESHOLD": "3",
    }
    first, last = languages[0], languages[-1]
    with ServiceProcess(tmp_path, env, timeout=PATIENCE) as service:
        assert json.loads(service.get("/asyncapi")[1])["servers"].keys() == {broker.name}
        doomed = [language.start_worker() for language in languages]
        for language in languages:
            language.start_worker()
        ready = decision("ready", "2026-11-23T10:00:00.000Z")
        broker.publish("image.blocked", [ready])
        if not broker.features.keeps_what_was_read:  # what came before a worker bound its queue is not for it
            wait_until(lambda: reaches_all(ready), "the workers' queues are bound", PATIENCE)
        wait({"block ready"}, "the workers work")
        for person in ("ann", "ann", "ben"):
            first.report(IMAGE, person)
        wait_until(lambda: first.reported(IMAGE) == 3, "three reports are stored", PATIENCE)
        assert not any(IMAGE.encode() in found.body for found in broker.read("image.blocked"))
        last.report(IMAGE, "cyd")
        wait({f"block {IMAGE}"}, "the block is applied")

        # Workers that hang are given some of these, and die with them in hand; then the server dies, too.
        for process in doomed:
            process.send_signal(signal.SIGSTOP)
        broker.publish("image.blocked", [decision(image, "2026-11-23T10:00:00.000Z") for image in MANY])
        for process in doomed:
            process.kill()
        with killed(broker):
            first.report(SECOND, "ann")
            last.report(SECOND, "ben")
        languages[1].report(SECOND, "cyd")
        wait({f"block {image}" for image in MANY}, "what the dead had in hand is applied")
        wait({f"block {SECOND}"}, "what was reported without a server is stored, and the block applied")

        # A newer decision wins; the same again, an older one and an unknown type change nothing.
        blocked = [
            decision("img-0", "2026-11-23T10:00:00.000Z"),
            decision("img-1", "2020-11-23T10:00:00.000Z"),
            decision("img-2", "2030-11-23T10:00:00.000Z", "image.paused.v1"),
            decision("last", "2026-11-23T10:00:00.000Z"),
        ]
        unblocked = [
            decision("img-3", "2026-11-23T10:00:00.001Z", "image.unblocked.v1"),
            decision("img-4", "2026-11-23T09:59:59.999Z", "image.unblocked.v1"),
            decision("last of all", "2026-11-23T10:00:00.000Z", "image.unblocked.v1"),
        ]
        broker.publish("image.blocked", blocked)
        broker.publish("image.unblocked", unblocked)
        record = {IMAGE: True, SECOND: True, **dict.fromkeys([*MANY, "ready", "last"], True)}
        acts = {f"block {image}" for image in record} | {"unblock img-3", "unblock last of all"}
        record |= {"img-3": False, "last of all": False}
        wait(acts, "the last decisions are applied")
        for language in languages:
            # Each once: nothing was applied twice, whoever read it.
            assert language.acts == Counter(acts), language.name
            assert language.name == "shell" or language.record() == record
            # One worker was killed; of the others those alone have ended that take one report each.
            ended = [code for code in language.ended if code or language.name != "shell"]
            assert ended == [-signal.SIGKILL], f"{language.name}: {ended}\n{language.errors}"


def test_the_versions_named_are_those_tested() -> None:
    named = re.findall(
        r"^([\w-]+==[\d.]+) ", (CLIENTS / "python" / "requirements.txt").read_text(), re.MULTILINE
    )
    assert len(named) == 4
    locked = (ROOT / "requirements.lock").read_text().splitlines()
    assert [one for one in named if f"{one} \\" not in locked] == []
