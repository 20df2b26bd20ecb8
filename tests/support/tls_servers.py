"""Servers over TLS that want a certificate of whoever connects, one pair for each broker and store."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.brokers.harness import Harness
from tests.support.brokers.rabbitmq import RabbitmqHarness
from tests.support.nats_process import nats_process
from tests.support.redis_processes import redis_process
from tests.support.servers import RedisServers, free_port
from tests.support.tls import Authority, Certificate, Listener

ELSEWHERE = "127.1"
"""Another name of 127.0.0.1, which no certificate of these has."""


class Ports(NamedTuple):
    good: int
    """Of a server with a certificate for localhost and 127.0.0.1."""
    expired: int
    """Of one whose certificate isn't valid any more."""


class Papers(NamedTuple):
    """Who vouches for whom."""

    authority: Authority
    """Of the servers, which trust it, too."""
    stranger: Authority
    """Whom no server knows."""
    good: Certificate
    expired: Certificate

    @classmethod
    def make(cls, folder: Path) -> "Papers":
        authority = Authority(folder / "ours")
        hosts = ("DNS:localhost", "IP:127.0.0.1")
        good = authority.sign("good", *hosts)
        return cls(
            authority,
            Authority(folder / "theirs"),
            good,
            authority.sign("expired", *hosts, expired=True),
        )


@contextmanager
def redis_servers_over_tls(papers: Papers, folder: Path, servers: RedisServers) -> Iterator[Ports]:
    lines = ("tls-auth-clients yes", f"tls-ca-cert-file {papers.authority.file}")
    engine = servers.engine("redis")
    with (
        redis_process(engine, folder, *lines, certificate=papers.good) as good,
        redis_process(engine, folder, *lines, certificate=papers.expired) as expired,
    ):
        yield Ports(good, expired)


def nats_config(papers: Papers, own: Certificate) -> str:
    return (
        f'tls {{ cert_file: "{own.file}", key_file: "{own.key}", ca_file: "{papers.authority.file}", '
        "verify: true }"
    )


@contextmanager
def nats_servers(papers: Papers, folder: Path) -> Iterator[Ports]:
    places = folder / "nats-good", folder / "nats-expired"
    for place in places:
        place.mkdir()
    with (
        nats_process(places[0], nats_config(papers, papers.good)) as good,
        nats_process(places[1], nats_config(papers, papers.expired)) as expired,
    ):
        yield Ports(good, expired)


@contextmanager
def rabbitmq_listeners(papers: Papers, harness: RabbitmqHarness) -> Iterator[Ports]:
    """Listeners that the running server gets beside its own: its start takes seconds."""
    ports = Ports(free_port(), free_port())
    harness.fresh()
    pairs = zip(ports, (papers.good, papers.expired), strict=True)
    evaluate(harness, *(start_listener(papers, port, own) for port, own in pairs))
    yield ports
    evaluate(harness, *(stop_listener(port) for port in ports))


def start_listener(papers: Papers, port: int, own: Certificate) -> str:
    options = (
        f'[{{cacertfile,"{papers.authority.file}"}},{{certfile,"{own.file}"}},{{keyfile,"{own.key}"}},'
        "{verify,verify_peer},{fail_if_no_peer_cert,true}]"
    )
    return f'rabbit_networking:start_ssl_listener({{"127.0.0.1",{port}}}, {options}, 2)'


def stop_listener(port: int) -> str:
    return f'rabbit_networking:stop_tcp_listener({{"127.0.0.1",{port}}})'


def evaluate(harness: RabbitmqHarness, *calls: str) -> None:
    command = [harness.node.tool, "eval", f"{', '.join(calls)}."]
    subprocess.run(command, env=harness.node.env, check=True, capture_output=True)


@contextmanager
def kafka_listeners(papers: Papers) -> Iterator[Ports]:
    """A handshake is refused before any byte of the protocol, so these are no brokers."""

    def context(own: Certificate) -> ssl.SSLContext:
        made = own.server_context()
        made.load_verify_locations(papers.authority.file)
        made.verify_mode = ssl.CERT_REQUIRED
        return made

    with (
        Listener(context=context(papers.good)) as good,
        Listener(context=context(papers.expired)) as expired,
    ):
        yield Ports(good.port, expired.port)


@contextmanager
def servers_over_tls(
    kind: str,
    papers: Papers,
    folder: Path,
    redis_servers: RedisServers,
    harnesses: Callable[[str], Harness],
) -> Iterator[Ports]:
    """Run those of `redis`, `nats`, `rabbitmq` or `kafka`."""
    folder.mkdir()
    if kind == "redis":
        running = redis_servers_over_tls(papers, folder, redis_servers)
    elif kind == "nats":
        running = nats_servers(papers, folder)
    elif kind == "rabbitmq":
        harness = harnesses("rabbitmq")
        assert isinstance(harness, RabbitmqHarness)
        running = rabbitmq_listeners(papers, harness)
    else:
        running = kafka_listeners(papers)
    with running as ports:
        yield ports
