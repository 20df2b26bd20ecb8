"""Tests that only NATS JetStream needs; `test_transport` has those of every broker."""

import asyncio
import gc
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from image_moderation.brokers.port import Options, Transport
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.decision import OutboxEntry, Publication
from image_moderation.domain.errors import BrokerUnavailable, Misconfigured
from image_moderation.domain.message import DeadLetter, DeadLetterReason, Outgoing, RawMessage
from image_moderation.wiring import clock
from tests.support.brokers import OLD_NATS
from tests.support.brokers.harness import Harness
from tests.support.decisions import DECISION
from tests.support.nats_process import nats_process
from tests.support.servers import free_port
from tests.support.tls import make_certificate
from tests.support.waiting import stays_true_for_async, wait_until_async

pytest.importorskip("nats")
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, StreamConfig

from image_moderation.brokers.nats.messages import raw_message
from image_moderation.brokers.nats.topology import takes
from image_moderation.brokers.nats.transport import LANES, NatsTransport

REPORTED, BLOCKED = "image.reported", "image.blocked"
STREAM, GROUP = "IMAGE_MODERATION", "image-moderation"
BATCH = 50
SHORT_WAIT = 600
"""Milliseconds after which the server delivers again what is not answered for."""

T = TypeVar("T")


@pytest.fixture
def server(harnesses: Callable[[str], Harness]) -> Harness:
    harness = harnesses("nats")
    harness.fresh()
    return harness


@pytest.fixture
def old_server(harnesses: Callable[[str], Harness]) -> Harness:
    harness = harnesses(OLD_NATS)
    harness.fresh()
    return harness


@asynccontextmanager
async def client_of(server: Harness) -> AsyncIterator[Client]:
    client = await nats.connect(server.url)
    try:
        yield client
    finally:
        await client.close()


def options(url: str, group: str = GROUP, redeliver_after: int = 10_000) -> Options:
    return Options(
        url=url,
        group=group,
        consumer="host",
        batch_size=BATCH,
        clock=clock,
        dead_letter_retention=86_400_000,
        redeliver_after=redeliver_after,
    )


class Replica:
    def __init__(self, url: str, group: str = GROUP, redeliver_after: int = 10_000) -> None:
        self.received: list[RawMessage] = []
        self.batches = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.transport: Transport = broker_for(url).make_transport(options(url, group, redeliver_after))

    async def handle(self, messages: Sequence[RawMessage]) -> None:
        self.received += messages
        self.batches += 1
        await self.gate.wait()
        while True:
            try:
                return await self.transport.ack(messages)
            except BrokerUnavailable:
                await asyncio.sleep(0.05)

    def bodies(self) -> list[bytes]:
        return sorted(message.body for message in self.received)


@asynccontextmanager
async def replica(url: str, redeliver_after: int = 10_000) -> AsyncIterator[Replica]:
    one = Replica(url, redeliver_after=redeliver_after)
    try:
        await one.transport.start(one.handle)
        yield one
    finally:
        one.gate.set()
        await one.transport.stop(2)


async def until_it_can(call: Callable[[], Awaitable[T]]) -> T:
    async with asyncio.timeout(15):
        while True:
            try:
                return await call()
            except BrokerUnavailable:
                await asyncio.sleep(0.05)


def numbered(count: int) -> list[bytes]:
    return [b"%03d" % number for number in range(count)]


async def test_a_batch_in_hand_is_not_delivered_again(server: Harness) -> None:
    server.publish(REPORTED, numbered(5))
    async with replica(server.url, SHORT_WAIT) as one:
        one.gate.clear()
        await wait_until_async(lambda: len(one.received) == 5, "they arrive")
        await stays_true_for_async(lambda: one.bodies() == numbered(5), 1.5, "nothing more is delivered")
        one.gate.set()
        await wait_until_async(lambda: server.waiting(REPORTED) == 0, "they are acked")
        assert one.bodies() == numbered(5)


async def test_nothing_is_pulled_ahead(server: Harness) -> None:
    async with replica(server.url) as one, client_of(server) as client:
        one.gate.clear()
        jetstream = client.jetstream()
        for body in numbered(20):  # one by one, so that each lane is given few and then waits
            await jetstream.publish(REPORTED, body)
        await wait_until_async(lambda: one.batches == LANES, "each lane has a batch")

        async def nothing_ahead() -> bool:
            info = await jetstream.consumer_info(STREAM, GROUP)
            return bool(info.num_ack_pending == len(one.received) < 20)

        await stays_true_for_async(nothing_ahead, 0.1, "only what is worked on is pulled")
        one.gate.set()
        await wait_until_async(lambda: len(one.received) == 20, "the rest arrives")
    assert one.bodies() == numbered(20)


async def test_a_killed_server_comes_back_with_a_batch_in_hand(server: Harness) -> None:
    server.publish(REPORTED, numbered(10))
    async with replica(server.url, SHORT_WAIT) as one:
        await wait_until_async(lambda: server.waiting(REPORTED) == 0, "the first are done with")
        one.gate.clear()
        server.publish(REPORTED, [b"in hand"])
        await wait_until_async(lambda: len(one.received) == 11, "it arrives")
        server.kill()

        async def noticed() -> bool:
            with suppress(BrokerUnavailable):
                await one.transport.figures()
                return False
            return True

        await wait_until_async(noticed, "the client notices")
        with pytest.raises(BrokerUnavailable):
            await one.transport.revive()
        with pytest.raises(BrokerUnavailable):
            await one.transport.publish(publications("x"))
        one.gate.set()
        server.restart()
        await until_it_can(one.transport.revive)
        server.publish(REPORTED, [b"after"])
        await wait_until_async(lambda: server.waiting(REPORTED) == 0, "all is done with")
    assert set(one.bodies()) == {*numbered(10), b"in hand", b"after"}


async def test_a_server_that_is_away_at_the_start(server: Harness) -> None:
    server.publish(REPORTED, numbered(1))
    server.kill()
    one = Replica(server.url)
    try:
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await one.transport.start(one.handle)
        assert time.monotonic() - begun < 6
        server.restart()
        await until_it_can(lambda: one.transport.start(one.handle))
        await wait_until_async(lambda: len(one.received) == 1, "it reads")
    finally:
        server.fresh()  # which starts it
        await one.transport.stop(1)


@pytest.mark.parametrize(
    ("subjects", "named"), [(["image.reported", "image.reviewed"], "image.blocked"), (["other"], "reported")]
)
async def test_a_stream_that_lacks_a_channel(server: Harness, subjects: list[str], named: str) -> None:
    async with client_of(server) as client:
        await client.jetstream().add_stream(StreamConfig(name=STREAM, subjects=subjects))
    with pytest.raises(Misconfigured, match=named):
        async with replica(server.url):
            pass


async def test_another_stream_has_the_subjects(server: Harness) -> None:
    async with client_of(server) as client:
        await client.jetstream().add_stream(StreamConfig(name="THEIRS", subjects=["image.reported"]))
        try:
            with pytest.raises(Misconfigured, match="other than IMAGE_MODERATION"):
                async with replica(server.url):
                    pass
        finally:
            await client.jetstream().delete_stream("THEIRS")


@pytest.mark.parametrize(
    "config",
    [
        ConsumerConfig(filter_subject="image.>"),
        ConsumerConfig(filter_subject=REPORTED, max_deliver=3),
        ConsumerConfig(filter_subject=REPORTED, deliver_subject="somewhere"),
    ],
)
async def test_a_durable_that_would_lose_messages(server: Harness, config: ConsumerConfig) -> None:
    server.publish(REPORTED, numbered(1))
    async with client_of(server) as client:
        await client.jetstream().add_consumer(
            STREAM, config.evolve(durable_name=GROUP, ack_policy=nats.js.api.AckPolicy.EXPLICIT)
        )
    with pytest.raises(Misconfigured, match="MODERATION_CONSUMER_GROUP"):
        async with replica(server.url):
            pass


async def test_a_durable_that_gives_nothing(server: Harness) -> None:
    server.publish(REPORTED, numbered(1))
    config = {"durable_name": GROUP, "filter_subject": REPORTED, "ack_policy": "explicit", "max_batch": 1}
    request = json.dumps({"stream_name": STREAM, "config": config}).encode()
    async with client_of(server) as client:  # whose library doesn't know that limit
        answer = await client.request(f"$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.{GROUP}", request)
        assert "error" not in json.loads(answer.data)
    async with replica(server.url) as one:

        async def refused() -> bool:
            with suppress(BrokerUnavailable):
                await one.transport.revive()
                return False
            return True

        await wait_until_async(refused, "it is told")
        with pytest.raises(BrokerUnavailable, match="MaxRequestBatch"):
            await one.transport.revive()


@pytest.mark.parametrize("group", ["a.b", "a b", "a*", ">", "a/b", "a\\b"])
def test_a_group_that_can_be_no_durable(group: str) -> None:
    with pytest.raises(Misconfigured, match="MODERATION_CONSUMER_GROUP"):
        Replica("nats://127.0.0.1:1", group)


async def test_what_another_consumer_has_not_acked_stays(server: Harness) -> None:
    async with client_of(server) as client, replica(server.url) as one:
        jetstream = client.jetstream()
        await jetstream.add_consumer(STREAM, ConsumerConfig(durable_name="archive", filter_subject="image.*"))
        server.publish(REPORTED, numbered(10))
        await wait_until_async(lambda: server.waiting(REPORTED) == 0, "the service has acked")
        await one.transport.tidy()
        assert server.kept(REPORTED) == 10
        archive = await jetstream.pull_subscribe("image.*", durable="archive", stream=STREAM)
        for message in await archive.fetch(4):
            await message.ack_sync()
        await one.transport.tidy()
        assert server.kept(REPORTED) == 6


async def test_trimming_forgets_nothing_in_hand(server: Harness) -> None:
    async with client_of(server) as client, replica(server.url) as one:
        server.publish(REPORTED, numbered(10))
        await wait_until_async(lambda: server.waiting(REPORTED) == 0, "the first are acked")
        one.gate.clear()
        server.publish(REPORTED, [b"in hand"])
        await wait_until_async(lambda: len(one.received) == 11, "one more arrives")
        await one.transport.tidy()
        info = await client.jetstream().consumer_info(STREAM, GROUP)
        assert info.num_ack_pending == 1
        one.gate.set()
        await wait_until_async(lambda: server.waiting(REPORTED) == 0, "it is acked")
        await one.transport.tidy()
        assert server.kept(REPORTED) == 0


async def test_a_server_that_purges_unsafely_is_never_asked_to(old_server: Harness) -> None:
    old_server.publish(REPORTED, numbered(10))
    with capture_logs() as logs:
        async with replica(old_server.url) as one:
            await wait_until_async(lambda: old_server.waiting(REPORTED) == 0, "all are acked")
            await one.transport.tidy()
    assert old_server.kept(REPORTED) == 10
    (warned,) = (one for one in logs if one["event"] == "stream_not_trimmed")
    assert warned["server_version"].startswith("2.9.")


async def test_what_was_pulled_and_not_begun_is_given_back(server: Harness) -> None:
    async with replica(server.url), client_of(server) as client:
        transport = NatsTransport(options(server.url))
        await transport.connect()
        reader = transport.readers[0]
        pulling = asyncio.create_task(reader.next_batch(0))
        await wait_until_async(lambda: 0 in reader.inboxes, "it asks")
        # A message without the status that ends the request, as when the server is slow.
        ack = await client.subscribe(client.new_inbox())
        await client.publish(f"{reader.inboxes[0].subject}.1", b"x", reply=ack.subject)
        await wait_until_async(lambda: reader.inboxes[0].messages, "the message comes")
        pulling.cancel()
        assert (await ack.next_msg(5)).data == b"-NAK"
        await transport.stop(1)


def publications(*images: str) -> list[Publication]:
    return [
        Publication(OutboxEntry(DECISION, b""), Outgoing(BLOCKED, image.encode(), f"id-{image}", image))
        for image in images
    ]


async def test_decisions_lie_in_the_order_they_were_given(server: Harness) -> None:
    sent = publications(*(str(number) for number in range(1_200)))
    async with replica(server.url) as one:
        await one.transport.publish(sent)  # the first that this connection publishes
    assert [found.body for found in server.read(BLOCKED)] == [one.message.body for one in sent]


async def test_two_who_redrive_one_dead_letter_publish_once(server: Harness) -> None:
    raw = RawMessage(REPORTED, "7", b"?", headers={"Nats-Msg-Id": "the producer's", "x": "1"})
    async with client_of(server) as client:
        await client.jetstream().add_stream(StreamConfig(name=STREAM, subjects=["image.>"]))
        await client.jetstream().publish(REPORTED, raw.body, headers={"Nats-Msg-Id": "the producer's"})
    one = Replica(server.url)
    await one.transport.start(one.handle)
    await one.transport.park([DeadLetter(raw, DeadLetterReason.NOT_JSON, "no")])
    await one.transport.stop(1)
    message = Outgoing(REPORTED, raw.body, headers=raw.headers)
    async with broker_for(server.url).open_dead_letters(server.url, GROUP) as queue:
        (entry,) = [entry async for entry, _ in queue.entries()]
        both = await asyncio.gather(queue.resend([entry], message), queue.resend([entry], message))
        assert await queue.resend([entry], message) is None
    assert len({position for position in both if position}) == 1
    assert server.kept(REPORTED) == 2, "the original and the redriven, which is no repeat of it"


async def test_dead_letters_on_a_server_without_a_stream(server: Harness) -> None:
    async with broker_for(server.url).open_dead_letters(server.url, GROUP) as queue:
        assert [entry async for entry, _ in queue.entries()] == []
        assert await queue.remove(["5"]) == 0
        assert await queue.body("5") is None


async def test_following_ends_where_the_server_does(server: Harness) -> None:
    async with (
        broker_for(server.url).open_client(server.url, GROUP) as client,
        client.follow([BLOCKED], from_start=False) as messages,
    ):
        server.kill()
        server.restart()
        with pytest.raises(BrokerUnavailable):
            async with asyncio.timeout(10):
                await anext(messages)


async def test_broken_headers_fail_nothing(server: Harness) -> None:
    async with replica(server.url) as one:
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as raw:
            raw.sendall(b'CONNECT {"verbose":false,"headers":true}\r\n')
            for line in (b"x: \xff\xfe", b"no colon", b": ", b"\xff: 1", b"Status: 408"):
                headers = b"NATS/1.0\r\n%s\r\n\r\n" % line
                sizes = len(headers), len(headers) + 2
                raw.sendall(b"HPUB %s %d %d\r\n%s{}\r\n" % (REPORTED.encode(), *sizes, headers))
            raw.sendall(b"PING\r\n")
            answer = b""
            while b"PONG" not in answer:  # by then the server has taken all of them
                answer += raw.recv(4096)
        server.publish(REPORTED, [b"good"])
        await wait_until_async(lambda: len(one.received) == 6, "all arrive")
        await wait_until_async(lambda: server.waiting(REPORTED) == 0, "all are acked")
        for message in one.received:
            for text in message.headers.values():
                text.encode()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Callable[[str], int]]:
    """Starts a server of a test's own with a configuration; returns its port."""
    with ExitStack() as stack:
        yield lambda config: stack.enter_context(nats_process(tmp_path, config))


# nats-py leaves it to the collector to close a connection that was refused.
left_to_the_collector = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@left_to_the_collector
@pytest.mark.parametrize(
    ("config", "right", "wrong"),
    [
        ('authorization { user: "u/1", password: "p@ss:w" }', "u%2F1:p%40ss%3Aw", "u:p%40ss"),
        ('authorization { token: "t:k/n" }', "t%3Ak%2Fn", "other-t0ken"),
    ],
)
async def test_credentials(
    guarded: Callable[[str], int], capfd: pytest.CaptureFixture[str], config: str, right: str, wrong: str
) -> None:
    number = guarded(config)
    one = Replica(f"nats://{wrong}@127.0.0.1:{number}")
    with pytest.raises(BrokerUnavailable, match="Authorization Violation") as refused:
        await one.transport.start(one.handle)
    await one.transport.stop(1)
    gc.collect()
    assert not any(secret in f"{refused.value}{capfd.readouterr()}" for secret in ("p@ss", "p%40ss", "t0ken"))
    url = f"nats://{right}@127.0.0.1:{free_port()},127.0.0.1:{number}"  # the first of them is away
    async with replica(url) as one, broker_for(url).open_client(url, GROUP) as client:
        await client.publish([Outgoing(REPORTED, b"a")])
        await wait_until_async(lambda: one.bodies() == [b"a"], "it arrives")


@left_to_the_collector
async def test_tls(guarded: Callable[[str], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = await asyncio.to_thread(make_certificate, tmp_path)
    number = guarded(f'tls {{ cert_file: "{cert}", key_file: "{key}" }}\nauthorization {{ token: "t" }}')
    url = f"nats+tls://t@localhost:{number}"
    one = Replica(url)
    with pytest.raises(BrokerUnavailable, match="certificate"):
        await one.transport.start(one.handle)  # nobody the system trusts has signed it
    await one.transport.stop(1)
    del one
    gc.collect()
    monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(cert))
    async with replica(url) as one, broker_for(url).open_client(url, GROUP) as client:
        await client.publish([Outgoing(REPORTED, b"a")])
        await wait_until_async(lambda: one.bodies() == [b"a"], "it arrives")


@pytest.mark.parametrize(
    ("pattern", "subject", "yes"),
    [
        ("image.>", "image.reported", True),
        ("image.*", "image.reported", True),
        (">", "image.reported", True),
        ("*.reported", "image.reported", True),
        ("image.reported", "image.reported", True),
        ("image.reported.>", "image.reported", False),
        ("*", "image.reported", False),
        ("image.blocked", "image.reported", False),
        ("image.*.*", "image.reported", False),
    ],
)
def test_which_subjects_a_pattern_takes(pattern: str, subject: str, yes: bool) -> None:
    assert takes(pattern, subject) is yes


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.IMAGE_MODERATION.g.3.42.50.1700000000123456789.7",
        "$JS.ACK.hub.hash.IMAGE_MODERATION.g.3.42.50.1700000000123456789.7",
        "$JS.ACK.hub.hash.IMAGE_MODERATION.g.3.42.50.1700000000123456789.7.random",
    ],
)
def test_what_an_ack_subject_says(reply: str) -> None:
    client: Any = None
    message = raw_message(Msg(_client=client, subject=REPORTED, reply=reply, data=b"x"))
    assert (message.position, message.deliveries, message.arrived) == ("42", 3, 1_700_000_000_123)
    assert json.dumps(dict(message.headers)) == "{}"
