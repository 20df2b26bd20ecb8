"""RabbitMQ, on a server of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity

from tests.support.brokers import least_rights
from tests.support.brokers.harness import Features, Found
from tests.support.brokers.loop import in_a_loop_of_its_own
from tests.support.brokers.rabbitmq_node import PortMapper, RabbitmqNode
from tests.support.servers import free_port
from tests.support.waiting import wait_until

EXCHANGE, GROUP = "image-moderation", "image-moderation"
INCOMING = ("image.reported", "image.reviewed")
OUTGOING = ("image.blocked", "image.unblocked", "image.review-requested", "image.dead-letter")
ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 1_000_000,
    "x-consumer-timeout": 604_800_000,
}
"""As contracts/README.md gives them."""

_TOTAL = """
case rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"%s">>)) of
  {ok, Q} ->
    {ok, {_, N}, _} = ra:leader_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_total/1), N;
  _ -> 0
end.
"""

T = TypeVar("T")


class RabbitmqHarness:
    """See `harness.Harness`."""

    name = "rabbitmq"
    features = Features(
        survives_kill=True,
        keeps_what_was_read=False,
        counts_deliveries=True,
        keeps_repeats_out=False,
        refuses_unroutable=True,
        stamps_arrival=False,
        own_position=False,
        removes_single_letters=True,
        trims=False,
        loses=("queue",),
    )
    seen_arguments: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
    """Of the queues that `read` reads."""

    def __init__(self, place: Path) -> None:
        self._mapper = PortMapper(place)
        self.nodes = [RabbitmqNode(self._mapper, place, free_port())]
        self._seen: dict[str, list[Found]] = {}
        self._passwords: dict[str, str] = {}
        self.restart()
        if least_rights.WANTED:
            self._passwords = least_rights.import_users(self.node.tool, self.node.env, place)

    @property
    def node(self) -> RabbitmqNode:
        return self.nodes[0]

    @property
    def url(self) -> str:
        return self._url_of("service")

    @property
    def commands_url(self) -> str:
        return self._url_of("operator")

    def _url_of(self, role: str) -> str:
        login = f"{role}:{self._passwords[role]}" if self._passwords else "guest:guest"
        return f"amqp://{login}@127.0.0.1:{self.port}/"

    @property
    def port(self) -> int:
        return self.node.port

    def url_at(self, port: int) -> str:
        return f"amqp://guest:guest@127.0.0.1:{port}/"

    @property
    def site_url(self) -> str:
        return self.url

    @property
    def runs(self) -> bool:
        return self.node.runs

    def fresh(self) -> None:
        if not self.runs:
            self.restart()
        self._seen.clear()

        async def empty(channel: AbstractChannel) -> None:
            for name in INCOMING + OUTGOING:
                await channel.queue_delete(f"{GROUP}.{name}")
                await channel.queue_delete(f"seen.{name}")
            await channel.queue_delete("gallery.decisions")
            await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)

        self._run(empty)
        for name in OUTGOING:
            self.bind(name)

    def kill(self) -> None:
        self.node.kill()

    def restart(self) -> None:
        self.node.start()

        async def answers(channel: AbstractChannel) -> bool:
            return not channel.is_closed

        def up() -> bool:
            if not self.node.listens():
                return False
            try:
                return self._run(answers)
            except (AMQPError, OSError):
                time.sleep(0.1)
                return False

        wait_until(up, "rabbitmq-server is up", 60)

    def suspend(self) -> None:
        self.node.freeze()

    def resume(self) -> None:
        self.node.thaw()

    def close(self) -> None:
        self.kill()
        self._mapper.close()

    def publish(
        self, channel: str, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        async def send(channel_: AbstractChannel) -> None:
            if channel in INCOMING:
                queue = await channel_.declare_queue(
                    f"{GROUP}.{channel}", durable=True, arguments={**ARGUMENTS}
                )
                await queue.bind(EXCHANGE, routing_key=channel)
            exchange = await channel_.get_exchange(EXCHANGE)
            named: Any = None if headers is None else dict(headers)
            for first in range(0, len(bodies), 500):
                messages = [
                    aio_pika.Message(body, headers=named, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                    for body in bodies[first : first + 500]
                ]
                await asyncio.gather(*(exchange.publish(one, routing_key=channel) for one in messages))

        self._run(send)

    def read(self, channel: str) -> list[Found]:
        seen = self._seen.setdefault(channel, [])

        async def take(channel_: AbstractChannel) -> None:
            queue = await channel_.get_queue(f"seen.{channel}")
            while (message := await queue.get(no_ack=True, fail=False)) is not None:
                seen.append(Found(message.body, {k: str(v) for k, v in message.headers.items()}))

        self._run(take)
        return list(seen)

    def unbind(self, channel: str) -> None:
        async def unbind(channel_: AbstractChannel) -> None:
            queue = await channel_.get_queue(f"seen.{channel}")
            await queue.unbind(EXCHANGE, routing_key=channel)

        self._run(unbind)

    def bind(self, channel: str) -> None:
        async def bind(channel_: AbstractChannel) -> None:
            queue = await channel_.declare_queue(
                f"seen.{channel}", durable=True, arguments=self.seen_arguments
            )
            await queue.bind(EXCHANGE, routing_key=channel)

        self._run(bind)

    def waiting(self, channel: str) -> int:
        name = f"{GROUP}.{channel}"

        async def ready(channel_: AbstractChannel) -> int:
            try:
                queue = await channel_.declare_queue(name, passive=True)
            except ChannelNotFoundEntity:
                return 0
            return queue.declaration_result.message_count or 0

        # AMQP doesn't count messages in hand, and the management's figures are seconds old: ask the queue.
        return self._run(ready) or int(self.node.ctl("eval", _TOTAL % name))

    def change_password(self, password: str) -> None:
        """Set the password of the user in `url`, and end every connection. `guest` is what `url` has."""
        self.node.ctl("change_password", "guest", password)
        self.node.ctl("close_all_connections", "the password has changed")

    def kept(self, channel: str) -> int:
        return self.waiting(channel)

    def lose(self, what: str) -> None:
        async def delete(channel: AbstractChannel) -> None:
            with suppress(ChannelNotFoundEntity):
                await channel.queue_delete(f"{GROUP}.image.reported")

        self._run(delete)

    def _run(self, call: Callable[[AbstractChannel], Awaitable[T]]) -> T:
        async def run() -> T:
            connection = await aio_pika.connect(self.node.url, timeout=5)
            try:
                return await call(await connection.channel(publisher_confirms=True))
            finally:
                await connection.close()

        return in_a_loop_of_its_own(run())
