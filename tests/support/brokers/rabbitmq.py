"""RabbitMQ, on a server of its own."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
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
from tests.support.servers import free_port, missing
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


def _find(program: str) -> str | None:
    """Debian's own wrappers change the user first, who could not write here."""
    return shutil.which(program, path="/usr/lib/rabbitmq/bin") or shutil.which(program)


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

    def __init__(self, place: Path) -> None:
        self._program = _find("rabbitmq-server") or missing("rabbitmq-server")
        self.tool = _find("rabbitmqctl") or missing("rabbitmq-server")
        self._place = place
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._seen: dict[str, list[Found]] = {}
        epmd = free_port()
        # A node name of its own, and its own port mapper on loopback, which is ended with it.
        self.env = os.environ | {
            "HOME": str(place),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_NODENAME": f"test-{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(place / "data"),
            "RABBITMQ_LOG_BASE": str(place / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(place / "rabbitmq"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        (place / "plugins").write_text("[].\n")
        (place / "rabbitmq.conf").write_text("loopback_users = none\n")
        self._passwords: dict[str, str] = {}
        self._epmd = self._start_port_mapper()
        self.restart()
        if least_rights.WANTED:
            self._passwords = least_rights.create_users(self.tool, self.env)

    @property
    def url(self) -> str:
        return self._url_of("service")

    @property
    def commands_url(self) -> str:
        return self._url_of("operator")

    def _url_of(self, role: str) -> str:
        login = f"{role}:{self._passwords[role]}" if self._passwords else "guest:guest"
        return f"amqp://{login}@127.0.0.1:{self._port}/"

    @property
    def port(self) -> int:
        return self._port

    def url_at(self, port: int) -> str:
        return f"amqp://guest:guest@127.0.0.1:{port}/"

    @property
    def site_url(self) -> str:
        return self.url

    def fresh(self) -> None:
        if self._process is None:
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
        if self._process is not None:
            wait_until(self._knows_its_queues, "the server has written down its quorum queues")
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _knows_its_queues(self) -> bool:
        """RabbitMQ writes a quorum queue's name down about a second after its declaration. Killed before, it
        has the queue for ever without a leader, and answers nobody who consumes from it.
        """
        for names in self._place.glob("data/*/quorum/*/names.dets"):
            written = names.read_bytes()
            return all(queue.name.encode() in written for queue in names.parent.iterdir() if queue.is_dir())
        return True

    def restart(self) -> None:
        with (self._place / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program], env=self.env, stdout=log, stderr=log, start_new_session=True
            )

        async def answers(channel: AbstractChannel) -> bool:
            return not channel.is_closed

        def up() -> bool:
            try:
                # By itself first: the client would write about each attempt.
                socket.create_connection(("127.0.0.1", self._port), 1).close()
                return self._run(answers)
            except (AMQPError, OSError):
                time.sleep(0.1)
                return False

        wait_until(up, "rabbitmq-server is up", 60)

    def suspend(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def close(self) -> None:
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()

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
            queue = await channel_.declare_queue(f"seen.{channel}", durable=True)
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
        return self._run(ready) or int(self._ctl("eval", _TOTAL % name))

    def change_password(self, password: str) -> None:
        """Set the password of the user in `url`, and end every connection. `guest` is what `url` has."""
        self._ctl("change_password", "guest", password)
        self._ctl("close_all_connections", "the password has changed")

    def _ctl(self, *command: str) -> str:
        return subprocess.run(
            [self.tool, "--quiet", "-n", self.env["RABBITMQ_NODENAME"], *command],
            env=self.env,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout

    def kept(self, channel: str) -> int:
        return self.waiting(channel)

    def lose(self, what: str) -> None:
        async def delete(channel: AbstractChannel) -> None:
            with suppress(ChannelNotFoundEntity):
                await channel.queue_delete(f"{GROUP}.image.reported")

        self._run(delete)

    def _run(self, call: Callable[[AbstractChannel], Awaitable[T]]) -> T:
        async def run() -> T:
            connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{self._port}/", timeout=5)
            try:
                return await call(await connection.channel(publisher_confirms=True))
            finally:
                await connection.close()

        return in_a_loop_of_its_own(run())

    def _start_port_mapper(self) -> subprocess.Popen[bytes] | None:
        """Started before the server would, so that it is ours to end."""
        program = shutil.which("epmd")
        if program is None:
            return None
        return subprocess.Popen([program], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
