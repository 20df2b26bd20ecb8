"""A scheme with TLS means TLS, to every kind of server, whoever connects."""

import gc
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from redis.exceptions import RedisClusterException, RedisError

from image_moderation.brokers import calls
from image_moderation.brokers.kafka import topology
from image_moderation.brokers.port import Options, Transport
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import Outgoing, RawMessage
from image_moderation.redis_connection import close, connect
from image_moderation.urls import SCHEMES, Scheme
from image_moderation.wiring import clock
from tests.support.brokers.harness import Harness
from tests.support.nats_process import nats_process
from tests.support.tls import Certificate, Listener, make_certificate
from tests.support.waiting import wait_until_async

SECRET = "hunter2"
GROUP = "image-moderation"
TLS_HANDSHAKE = b"\x16\x03"
INFO = b'INFO {"version":"2.10.0","max_payload":1048576,"auth_required":true%s}\r\n'
"""A NATS server speaks first, and who is on the way may change what it says."""

Connecting = Callable[[str], Awaitable[None]]

pytestmark = pytest.mark.filterwarnings(
    # Clients leave it to the collector to close a connection that was refused.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


def make_transport(url: str) -> Transport:
    return broker_for(url).make_transport(
        Options(url=url, group=GROUP, consumer="me", batch_size=10, clock=clock, dead_letter_retention=1000)
    )


async def no_handler(messages: Sequence[RawMessage]) -> None:
    raise AssertionError(messages)


async def start_service(url: str) -> None:
    transport = make_transport(url)
    try:
        await transport.start(no_handler)
    finally:
        await transport.stop(1)


async def publish(url: str) -> None:
    async with broker_for(url).open_client(url, GROUP) as client:
        await client.publish([Outgoing("image.reported", b"a")])


async def read_dead_letters(url: str) -> None:
    async with broker_for(url).open_dead_letters(url, GROUP) as queue:
        async for _ in queue.entries():
            pass


async def ask_store(url: str) -> None:
    client = connect(url)
    try:
        await client.set("a", "b", ex=60)
    except (RedisError, RedisClusterException) as error:
        raise BrokerUnavailable(str(error)) from error
    finally:
        await close(client)


OVER_TLS = [row for row in SCHEMES.values() if row.tls]
WAYS = [
    pytest.param(row, way, id=f"{row.name}-{way.__name__}")
    for row in OVER_TLS
    for way in (
        *((start_service, publish, read_dead_letters) if row.broker else ()),
        *((ask_store,) if row.store else ()),
    )
]
ONE_WAY = [pytest.param(row, publish if row.broker else ask_store, id=row.name) for row in OVER_TLS]


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some clients try again until the time is up."""
    monkeypatch.setattr(calls.within, "__defaults__", (0.7,))
    monkeypatch.setattr(topology, "TIMEOUT", 0.7)


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left_to_others() -> Iterator[None]:
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def greeting(scheme: Scheme, more: bytes = b"") -> bytes:
    return INFO % more if scheme.name.startswith("nats") else b""


def url_of(scheme: Scheme, port: int, **options: object) -> str:
    path = ""
    if "sentinel" in scheme.name:
        path, options = "/primary", options | {"sentinel_username": "me", "sentinel_password": SECRET}
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{scheme.name}://me:{SECRET}@127.0.0.1:{port}{path}{'?' if query else ''}{query}"


@pytest.mark.parametrize(("scheme", "connecting"), WAYS)
async def test_a_server_without_tls_gets_no_password(scheme: Scheme, connecting: Connecting) -> None:
    with Listener(greeting=greeting(scheme)) as listener, pytest.raises(BrokerUnavailable) as refused:
        await connecting(url_of(scheme, listener.port))
    assert SECRET not in str(refused.value)
    assert listener.received
    assert all(data == b"" or data.startswith(TLS_HANDSHAKE) for data in listener.received)


@pytest.mark.parametrize("offer", [b',"tls_available":true', b',"tls_required":true'])
async def test_a_nats_server_that_only_says_that_it_speaks_tls_gets_no_password(offer: bytes) -> None:
    scheme = SCHEMES["nats+tls"]
    with Listener(greeting=greeting(scheme, offer)) as listener, pytest.raises(BrokerUnavailable):
        await publish(url_of(scheme, listener.port))
    assert all(data.startswith(TLS_HANDSHAKE) for data in listener.received)


async def test_a_real_nats_server_without_tls_is_not_used(harnesses: Callable[[str], Harness]) -> None:
    with pytest.raises(BrokerUnavailable, match="offers no TLS"):
        await start_service(harnesses("nats").url.replace("nats://", "nats+tls://me:hunter2@"))


async def test_a_nats_server_that_comes_back_without_tls_gets_no_password(
    certificate: Certificate, tmp_path: Path
) -> None:
    login = f'authorization {{ user: "me", password: "{SECRET}" }}'
    config = f'{login}\ntls {{ cert_file: "{certificate.file}", key_file: "{certificate.key}" }}'
    with nats_process(tmp_path, config) as port:
        transport = make_transport(url_of(SCHEMES["nats+tls"], port, cafile=certificate.file))
        await transport.start(no_handler)

    async def answers() -> bool:
        with suppress(BrokerUnavailable):
            await transport.figures()
            return True
        return False

    try:
        with Listener(greeting=greeting(SCHEMES["nats+tls"]), port=port) as listener:
            await wait_until_async(lambda: len(listener.received) > 1, "the client connects again")
            with pytest.raises(BrokerUnavailable, match="offers no TLS"):
                await transport.figures()
        assert not any(listener.received)
        with nats_process(tmp_path, config, port=port):
            await wait_until_async(answers, "the client uses the server that has TLS again", 20)
    finally:
        await transport.stop(1)


@pytest.mark.parametrize(("scheme", "connecting"), ONE_WAY)
async def test_a_server_that_nobody_vouches_for_gets_no_password(
    scheme: Scheme, connecting: Connecting, certificate: Certificate
) -> None:
    context = certificate.server_context()
    info = greeting(scheme, b',"tls_required":true')
    with Listener(greeting=info, context=context) as listener, pytest.raises(BrokerUnavailable):
        await connecting(url_of(scheme, listener.port))
    assert listener.refused
    assert not any(listener.received)


@pytest.mark.parametrize("scheme", [SCHEMES["kafka+tls"], SCHEMES["amqps"]], ids=lambda scheme: scheme.name)
async def test_a_server_of_the_named_authority_is_spoken_to(scheme: Scheme, certificate: Certificate) -> None:
    """Real servers show the same for the others: `test_nats_transport`, `test_redis_tls`."""
    context = certificate.server_context()
    with Listener(context=context) as listener, pytest.raises(BrokerUnavailable):  # it hangs up
        await publish(url_of(scheme, listener.port, cafile=certificate.file))
    assert any(listener.received)
