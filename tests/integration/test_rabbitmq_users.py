"""RabbitMQ's users as deploy/rabbitmq/users.sh makes them: each can do its work, and no more."""

import json
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import AMQPError

from tests.support.brokers.least_rights import create_users
from tests.support.brokers.loop import in_a_loop_of_its_own
from tests.support.brokers.rabbitmq import RabbitmqHarness
from tests.support.service_process import ROOT, ServiceProcess
from tests.support.waiting import wait_until

T = TypeVar("T")
EXCHANGE = "image-moderation"
PUBLISHES = {"producer": "image.reported", "moderator": "image.reviewed"}
"""All that they may do."""
CHANNELS = ("image.reported", "image.reviewed", "image.blocked", "image.unblocked", "image.dead-letter")


class Server:
    """A server with the users, and what programs do as one of them."""

    def __init__(self, harness: RabbitmqHarness) -> None:
        self._url = harness.url
        self._passwords = create_users(harness.node.tool, harness.node.env)

    def url(self, user: str) -> str:
        return self._url.replace("guest:guest", f"{user}:{self._passwords[user]}")

    def _run(self, user: str, call: Callable[[AbstractChannel], Awaitable[T]]) -> T:
        async def run() -> T:
            connection = await aio_pika.connect(self.url(user), timeout=5)
            try:
                return await call(await connection.channel(publisher_confirms=True, on_return_raises=True))
            finally:
                await connection.close()

        return in_a_loop_of_its_own(run())

    def publish(self, user: str, key: str, *bodies: str) -> None:
        async def call(channel: AbstractChannel) -> None:
            exchange = await channel.get_exchange(EXCHANGE, ensure=False)
            for body in bodies:
                await exchange.publish(aio_pika.Message(body.encode()), routing_key=key)

        self._run(user, call)

    def bind(self, user: str, name: str, key: str) -> None:
        async def call(channel: AbstractChannel) -> None:
            queue = await channel.declare_queue(name, durable=True)
            await queue.bind(EXCHANGE, routing_key=key)

        self._run(user, call)

    def take(self, user: str, name: str) -> str:
        """Return the type of the next event; "" if there is none."""

        async def call(channel: AbstractChannel) -> str:
            queue = await channel.get_queue(name, ensure=False)
            message = await queue.get(fail=False, no_ack=True)
            return str(json.loads(message.body)["type"]) if message else ""

        return self._run(user, call)

    def delete(self, user: str, name: str) -> None:
        async def call(channel: AbstractChannel) -> None:
            await channel.queue_delete(name)

        self._run(user, call)

    def decided(self, what: str) -> None:
        wait_until(lambda: self.take("consumer", "site.decisions") == what, what, 20)


@pytest.mark.soak
def test_each_user_can_do_its_work_and_no_more(
    harnesses: Callable[[str], RabbitmqHarness], redis_url: str, tmp_path: Path
) -> None:
    harness = harnesses("rabbitmq")
    harness.fresh()
    server = Server(harness)

    def operate(*arguments: str) -> str:
        env = service.env | {"MODERATION_BROKER_URL": server.url("operator")}
        command = [*service.command[:3], *arguments]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    env = {"MODERATION_BROKER_URL": server.url("service"), "MODERATION_STORE_URL": redis_url}
    with ServiceProcess(tmp_path, env, timeout=40) as service:
        for key in ("image.blocked", "image.unblocked"):
            server.bind("consumer", "site.decisions", key)
        reports = [event(f"r{n}", "image.reported.v1", reporter_id=f"user-{n}") for n in range(5)]
        server.publish("producer", "image.reported", *reports, "not an event")
        server.decided("image.blocked.v1")
        server.publish("moderator", "image.reviewed", event("v", "image.reviewed.v1", verdict="cleared"))
        server.decided("image.unblocked.v1")
        operate("report", "img-43", "--reporter", "user-1")
        wait_until(lambda: operate("dead-letters", "list", "--json"), "it is parked", 20)
        (letter,) = map(json.loads, operate("dead-letters", "list", "--json").splitlines())
        operate("dead-letters", "redrive", letter["id"])
        service.wait_ready()
        assert "ACCESS_REFUSED" not in service.log

    for user, own in (*PUBLISHES.items(), ("consumer", "")):
        for channel in CHANNELS:
            if channel != own:
                refused(lambda: server.publish(user, channel, "{}"))  # noqa: B023 - called at once
        for channel in ("image.reported", "image.dead-letter"):
            refused(lambda: server.take(user, f"{EXCHANGE}.{channel}"))  # noqa: B023 - as above
            refused(lambda: server.delete(user, f"{EXCHANGE}.{channel}"))  # noqa: B023 - as above
    for key in ("image.reported", "image.dead-letter", "#"):
        refused(lambda: server.bind("consumer", "site.decisions", key))  # noqa: B023 - as above


def refused(call: Callable[[], object]) -> None:
    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
        call()


def event(name: str, kind: str, **data: str) -> str:
    data = {"image_id": "img-42", **data}
    time = "2026-11-26T06:00:00Z"
    return json.dumps(
        {"specversion": "1.0", "id": name, "source": "/site", "type": kind, "time": time, "data": data}
    )
