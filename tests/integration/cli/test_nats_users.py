"""A NATS server whose users are those of deploy/nats/users.conf: each can do its work, and no more."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig

from tests.support.brokers.nats import STREAM, NatsHarness
from tests.support.command_line import Call
from tests.support.deploy_commands import DEPLOY
from tests.support.servers import free_port
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until, wait_until_async

ROLES = ("service", "producer", "moderator", "consumer", "operator")
CLEARED = {"image_id": "img-42", "verdict": "cleared"}
REFUSED = {
    "producer": ("image.reviewed", "image.blocked", "$JS.API.STREAM.INFO.IMAGE_MODERATION"),
    "moderator": ("image.reported", "image.unblocked", "$JS.API.STREAM.PURGE.IMAGE_MODERATION"),
    "consumer": (
        "image.reported",
        "image.blocked",
        "$JS.API.STREAM.MSG.GET.IMAGE_MODERATION",
        "$JS.API.CONSUMER.MSG.NEXT.IMAGE_MODERATION.image-moderation",
        "$JS.API.CONSUMER.CREATE.IMAGE_MODERATION.site-blocked.image.reported",
        "$JS.API.CONSUMER.DURABLE.CREATE.IMAGE_MODERATION.site-blocked",
    ),
    "service": ("image.reported", "$JS.API.STREAM.DELETE.IMAGE_MODERATION"),
    "operator": ("$JS.API.STREAM.DELETE.IMAGE_MODERATION", "$JS.API.STREAM.PURGE.IMAGE_MODERATION"),
}


class Server:
    """A server that includes the file; each password is made of its role's name."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / "server.log"
        config = folder / "nats-server.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{folder}" }}\nlog_file: "{self.log}"\n'
            f"include {os.path.relpath(DEPLOY / 'nats' / 'users.conf', folder)}\n"
        )
        passwords = {f"NATS_PASSWORD_{role.upper()}": f"password-of-{role}" for role in ROLES}
        self.process = subprocess.Popen([program, "-c", config], env=os.environ | passwords)

    def url(self, role: str) -> str:
        return f"nats://{role}:password-of-{role}@127.0.0.1:{self.port}"

    def violations(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if "Violation" in line]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(NatsHarness.program(), tmp_path)
    try:
        wait_until(lambda: server.log.exists() and "Server is ready" in server.log.read_text(), "it is up")
        yield server
    finally:
        server.process.terminate()
        server.process.wait(10)


@asynccontextmanager
async def client_of(server: Server, role: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A client, and what the server has refused it."""
    prefix = "_INBOX" if role in {"service", "operator"} else f"_INBOX_{role}"
    refusals: list[str] = []

    async def note(error: Exception) -> None:
        refusals.append(str(error))

    client = await nats.connect(server.url(role), inbox_prefix=prefix.encode(), error_cb=note)
    yield client, refusals
    await client.close()


def publish(server: Server, role: str, channel: str, bodies: Sequence[str]) -> None:
    async def send() -> None:
        async with client_of(server, role) as (client, _):
            for body in bodies:
                await client.jetstream().publish(channel, body.encode())

    asyncio.run(send())


def consume(server: Server, durable: str, channel: str) -> list[str]:
    """As a worker of the site's: it makes its durable, and acks what it is given."""

    async def read() -> list[str]:
        async with client_of(server, "consumer") as (client, _):
            jetstream = client.jetstream()
            config = ConsumerConfig(name=durable, filter_subject=channel, ack_policy=AckPolicy.EXPLICIT)
            await jetstream.add_consumer(STREAM, config, durable_name=durable)
            pull = await jetstream.pull_subscribe_bind(durable, STREAM)
            found = []
            for message in await pull.fetch(1, timeout=20):
                await message.ack_sync()
                found.append(str(json.loads(message.data)["type"]))
            return found

    return asyncio.run(read())


def refused(server: Server, role: str, verb: str, subject: str) -> bool:
    async def ask() -> bool:
        async with client_of(server, role) as (client, refusals):
            if verb == "publish":
                await client.publish(subject, b"{}")
            else:
                await client.subscribe(subject)
            await wait_until_async(lambda: refusals, f"{role} may not {verb} {subject}")
            return "permissions violation" in refusals[0].lower()

    return asyncio.run(ask())


def event(name: str, kind: str, data: dict[str, str]) -> str:
    return json.dumps({"specversion": "1.0", "id": name, "source": "/site", "type": kind, "data": data})


def report(reporter: str) -> str:
    return event(reporter, "image.reported.v1", {"image_id": "img-42", "reporter_id": reporter})


def test_each_user_can_do_its_work_and_no_more(
    server: Server, redis_url: str, tmp_path: Path, call: Call
) -> None:
    env = {"MODERATION_BROKER_URL": server.url("service"), "MODERATION_STORE_URL": redis_url}

    def operate(*arguments: str) -> str:
        result = call(*arguments, broker_url=server.url("operator"), store_url=redis_url)
        assert result.code == 0, (arguments, result.err)
        return result.out

    with ServiceProcess(tmp_path, env) as service:
        publish(server, "producer", "image.reported", [report(f"user-{n}") for n in range(5)])
        publish(server, "producer", "image.reported", ["not an event"])
        assert consume(server, "site-blocked", "image.blocked") == ["image.blocked.v1"]
        publish(server, "moderator", "image.reviewed", [event("v", "image.reviewed.v1", CLEARED)])
        assert consume(server, "site-unblocked", "image.unblocked") == ["image.unblocked.v1"]
        operate("report", "img-43", "--reporter", "user-1")
        wait_until(lambda: operate("dead-letters", "list", "--json"), "it is parked")
        (letter,) = map(json.loads, operate("dead-letters", "list", "--json").splitlines())
        operate("dead-letters", "redrive", letter["id"])
        operate("republish", "img-42")
        publish(server, "producer", "image.reported", [report("user-9")])
        operate("backtest", "--from-broker")
        service.wait_ready()
    assert server.violations() == []
    for role in ("producer", "moderator", "consumer"):
        for subject in ("_INBOX.>", "_INBOX_service.>", "image.>", "$JS.>"):
            assert refused(server, role, "subscribe", subject), (role, subject)
    for role, subjects in REFUSED.items():
        for subject in subjects:
            assert refused(server, role, "publish", subject), (role, subject)
