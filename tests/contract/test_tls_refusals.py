"""Real servers over TLS: whom the service trusts, who trusts it, and in which words a refusal is said."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisClusterException, RedisError

from image_moderation.brokers import calls
from image_moderation.brokers.kafka import topology
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import Outgoing
from image_moderation.domain.outage import explain
from image_moderation.redis_connection import close, connect
from image_moderation.settings import Settings
from image_moderation.urls import SCHEMES as URLS
from image_moderation.wiring import broker_client
from tests.support.brokers.harness import Harness
from tests.support.nats_process import nats_process
from tests.support.servers import RedisServers
from tests.support.service_process import ServiceProcess
from tests.support.tls import Certificate
from tests.support.tls_servers import (
    ELSEWHERE,
    Papers,
    Ports,
    nats_config,
    redis_servers_over_tls,
    servers_over_tls,
)
from tests.support.waiting import wait_until

pytestmark = pytest.mark.filterwarnings(
    # Clients leave it to the collector to close a connection that was refused.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)

SECRET = "hunter2"
SCHEMES = {
    "rediss": "redis",
    "rediss+cluster": "redis",
    "rediss+sentinel": "redis",
    "nats+tls": "nats",
    "amqps": "rabbitmq",
    "kafka+tls": "kafka",
}
"""Each, and the servers of `tls_servers` that it is for."""
WANTS_ANOTHER = r"wants (TLS, or )?a certificate"
"""Where the server's word arrives before it hangs up, and where it doesn't."""


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers.make(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module", params=sorted(set(SCHEMES.values())))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def ports(
    kind: str,
    papers: Papers,
    redis_servers: RedisServers,
    harnesses: Callable[[str], Harness],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ports]:
    folder = tmp_path_factory.mktemp(kind) / "servers"
    with servers_over_tls(kind, papers, folder, redis_servers, harnesses) as running:
        yield running


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some clients try again until the time is up."""
    monkeypatch.setattr(calls.within, "__defaults__", (1.5,))
    monkeypatch.setattr(topology, "TIMEOUT", 1.0)


Files = Mapping[str, Path]


@dataclass(frozen=True)
class Way:
    """How something is reached: a scheme, as `BROKER` or as `STORE`."""

    scheme: str
    side: str

    def settings(self, host: str, port: int, files: Files) -> Settings:
        """Those of the variables, as an operator would set them."""
        path = "/main" if "sentinel" in self.scheme else ""
        variables = {"BROKER_URL": "nats://unused", "STORE_URL": "redis://unused"}
        variables |= {f"{self.side}_{end}": str(file) for end, file in files.items()}
        variables[f"{self.side}_URL"] = f"{self.scheme}://{host}:{port}{path}"
        return Settings.load({f"MODERATION_{name}": value for name, value in variables.items()})

    async def ask(self, host: str, port: int, files: Files) -> None:
        """Publish, or write to the store. Raises BrokerUnavailable."""
        settings = self.settings(host, port, files)
        if self.side == "BROKER":
            async with broker_client(settings) as client:
                await client.publish([Outgoing("image.reported", b"a")])
            return
        store = connect(settings.store_address)
        try:
            await store.set("a", "b", ex=60)
        except (RedisError, RedisClusterException) as error:
            raise BrokerUnavailable(explain(error)) from error
        finally:
            await close(store)

    async def refused(self, words: str, host: str, port: int, files: Files) -> None:
        with pytest.raises(BrokerUnavailable, match=words) as caught:
            await self.ask(host, port, files)
        assert "TLS" in str(caught.value)
        assert "\n" not in str(caught.value)


def ways(kind: str) -> list[Way]:
    found = []
    for scheme in (URLS[name] for name, of in SCHEMES.items() if of == kind):
        found += [Way(scheme.name, "BROKER")] if scheme.broker else []
        found += [Way(scheme.name, "STORE")] if scheme.store else []
    return found


def show(own: Certificate) -> Files:
    return {"CERT": own.file, "KEY": own.key}


async def test_each_refusal_has_its_words(kind: str, ports: Ports, papers: Papers) -> None:
    mine, theirs = show(papers.authority.sign("mine")), show(papers.stranger.sign("mine"))
    trusted, unknown = {"CA": papers.authority.file}, {"CA": papers.stranger.file}
    nobody_trusts = "no authority that is trusted has signed it"
    for way in ways(kind):
        if way.scheme in ("rediss", "nats+tls", "amqps"):  # other tests have the rest
            await way.ask("localhost", ports.good, {**trusted, **mine})
        other_name = f"certificate is not valid for '{ELSEWHERE}'"
        await asyncio.gather(
            way.refused(other_name, ELSEWHERE, ports.good, {**trusted, **mine}),
            way.refused("certificate has expired", "localhost", ports.expired, {**trusted, **mine}),
            way.refused(nobody_trusts, "localhost", ports.good, {**unknown, **mine}),
            way.refused(nobody_trusts, "localhost", ports.good, mine),
            way.refused(WANTS_ANOTHER, "localhost", ports.good, trusted),
            way.refused(WANTS_ANOTHER, "localhost", ports.good, {**trusted, **theirs}),
        )


async def test_named_authorities_are_trusted_instead_of_the_systems(
    kind: str, ports: Ports, papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = show(papers.authority.sign("mine"))
    monkeypatch.setenv("SSL_CERT_FILE", str(papers.authority.file))  # the system's, as OpenSSL looks for it
    for way in ways(kind):
        if way.scheme in ("rediss", "nats+tls", "amqps"):
            await way.ask("localhost", ports.good, mine)
        if way.scheme != "kafka+tls":  # whose client has another idea of the system's
            unknown = {"CA": papers.stranger.file, **mine}
            await way.refused("no authority that is trusted has signed it", "localhost", ports.good, unknown)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("store", f"certificate is not valid for '{ELSEWHERE}'"),  # looked at first
        ("broker", "certificate has expired"),
    ],
)
def test_readyz_and_the_log_say_which_server_and_why(
    check: str, words: str, papers: Papers, redis_servers: RedisServers, tmp_path: Path
) -> None:
    mine, folder = show(papers.authority.sign("mine")), tmp_path / "nats"
    folder.mkdir()
    with (
        redis_servers_over_tls(papers, tmp_path, redis_servers) as store,
        nats_process(folder, nats_config(papers, papers.expired)) as broker,
    ):
        host = ELSEWHERE if check == "store" else "localhost"
        env: dict[str, str | None] = {
            "MODERATION_BROKER_URL": f"nats+tls://u:{SECRET}@localhost:{broker}",
            "MODERATION_STORE_URL": f"rediss://{host}:{store.good}",
        }
        for side in ("BROKER", "STORE"):
            files = {"CA": papers.authority.file, **mine}
            env |= {f"MODERATION_{side}_{end}": str(file) for end, file in files.items()}
        with ServiceProcess(tmp_path, env, wait="http") as service:

            def says() -> bool:
                line = str(json.loads(service.get("/readyz")[1])["checks"][check])
                return line.startswith("TLS failed: ") and words in line

            wait_until(says, "the check says why", 30)
            failed = [line for line in service.events() if line["event"] == "check_failed"]
            assert any(line["check"] == check and words in line["error"] for line in failed)
            assert SECRET not in service.log


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_renewed_files_are_read_at_the_next_connection(
    loop: Callable[[], asyncio.AbstractEventLoop], papers: Papers, redis_servers: RedisServers, tmp_path: Path
) -> None:
    """By the one kind of context that the clients of Redis, NATS and RabbitMQ are given."""
    with (
        redis_servers_over_tls(papers, tmp_path, redis_servers) as ports,
        asyncio.Runner(loop_factory=loop) as runner,
    ):
        runner.run(renew(papers, ports, tmp_path))


async def renew(papers: Papers, ports: Ports, tmp_path: Path) -> None:
    own = Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    authority = tmp_path / "ca.pem"

    def put(certificate: Certificate, signed_by: Path) -> None:
        for source, target in ((certificate.file, own.file), (certificate.key, own.key)):
            shutil.copy(source, target)
        shutil.copy(signed_by, authority)

    put(papers.stranger.sign("first"), papers.stranger.file)
    way = Way("rediss", "STORE")
    client = connect(way.settings("localhost", ports.good, {"CA": authority, **show(own)}).store_address)
    assert isinstance(client, Redis)
    try:
        with pytest.raises(RedisError, match="certificate verify failed"):
            await client.ping()
        put(papers.stranger.sign("second"), papers.authority.file)
        with pytest.raises(RedisError, match=r"alert|wants a certificate"):
            await client.ping()
        put(papers.authority.sign("third"), papers.authority.file)
        await client.ping()
        own.key.write_text("half of it")
        await client.connection_pool.disconnect()
        with pytest.raises((RedisError, OSError), match="holds no key in PEM format"):
            await client.ping()
    finally:
        await close(client)
