"""Redis over TLS: one server, a Cluster, and what Sentinels look after. Valkey's package has no TLS."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.brokers.registry import broker_for
from image_moderation.domain.message import Outgoing
from image_moderation.redis_connection import close, connect
from image_moderation.urls.options import LEAST_CONNECTIONS
from tests.support.redis_processes import redis_process
from tests.support.servers import RedisServers, free_port
from tests.support.service_process import ServiceProcess
from tests.support.tls import make_certificate
from tests.support.waiting import wait_until

IMAGES = 500


class Servers:
    """Servers over TLS, of one test."""

    def __init__(self, servers: RedisServers, folder: Path, stack: ExitStack) -> None:
        self.certificate = make_certificate(folder)
        self._engine = servers.engine("redis")
        self._folder, self._stack = folder, stack

    def start(self, *lines: str, sentinel: bool = False) -> int:
        process = redis_process(
            self._engine, self._folder, *lines, sentinel=sentinel, certificate=self.certificate
        )
        return self._stack.enter_context(process)

    def direct(self, port: int, password: str | None = None) -> redis.Redis:
        file = str(self.certificate.file)
        return redis.Redis(
            port=port,
            ssl=True,
            ssl_ca_certs=file,
            ssl_certfile=file,
            ssl_keyfile=str(self.certificate.key),
            password=password,
        )


@pytest.fixture
def servers(redis_servers: RedisServers, tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(redis_servers, tmp_path, stack)


async def put(url: str) -> None:
    client = connect(url)
    try:
        await client.set("probe", "1", px=60_000)
    finally:
        await close(client)


async def test_one_server_that_asks_for_a_certificate(servers: Servers) -> None:
    port = servers.start("requirepass s3cret", "tls-auth-clients yes")
    file, key = servers.certificate
    url = f"rediss://:s3cret@localhost:{port}?ssl_ca_certs={file}&ssl_certfile={file}&ssl_keyfile={key}"
    await put(url)
    async with broker_for(url).open_client(url, "image-moderation") as client:
        await client.publish([Outgoing("image.reported", b"a")])
    with servers.direct(port, "s3cret") as direct:
        assert direct.get("probe") == b"1"
        assert direct.xlen("image.reported") == 1


async def test_the_service_works_over_tls_with_the_fewest_connections_that_it_takes(
    servers: Servers, tmp_path: Path
) -> None:
    port = servers.start("requirepass s3cret", "tls-auth-clients no")
    url = f"rediss://:s3cret@localhost:{port}?ssl_ca_certs={servers.certificate.file}"
    with ServiceProcess(
        tmp_path, {"MODERATION_BROKER_URL": f"{url}&max_connections={LEAST_CONNECTIONS}"}
    ) as service:
        reports = [Outgoing("image.reported", report(n // 5, n)) for n in range(5 * IMAGES)]
        async with broker_for(url).open_client(url, "image-moderation") as client:
            await client.publish(reports)
        with servers.direct(port, "s3cret") as direct:
            wait_until(lambda: direct.xlen("image.blocked") == IMAGES, "every image is blocked", 30)
        service.wait_ready()
        assert "check_failed" not in service.log


def report(image: int, reporter: int) -> bytes:
    event = {"specversion": "1.0", "id": f"e-{reporter}", "source": "/test", "type": "image.reported.v1"}
    return json.dumps(event | {"data": {"image_id": f"i-{image}", "reporter_id": f"u-{reporter}"}}).encode()


async def test_a_cluster(servers: Servers) -> None:
    port = servers.start(
        "cluster-enabled yes",
        "tls-cluster yes",
        f"cluster-port {free_port()}",
        "tls-auth-clients no",
        "requirepass s3cret",
    )
    with servers.direct(port, "s3cret") as direct:
        execute: Any = direct.execute_command
        execute("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: b"cluster_state:ok" in execute("CLUSTER", "INFO"), "the Cluster has all slots")
        await put(f"rediss+cluster://:s3cret@127.0.0.1:{port}?ssl_ca_certs={servers.certificate.file}")
        assert direct.get("probe") == b"1"


async def test_sentinels_and_what_they_name(servers: Servers) -> None:
    server = servers.start("requirepass s3cret", "tls-auth-clients no")
    sentinel = servers.start(
        "tls-auth-clients no",
        "tls-replication yes",
        "requirepass w4tch",
        f"sentinel monitor store 127.0.0.1 {server} 1",
        "sentinel auth-pass store s3cret",
        sentinel=True,
    )
    options = f"ssl_ca_certs={servers.certificate.file}&sentinel_password=w4tch"
    await put(f"rediss+sentinel://:s3cret@127.0.0.1:{sentinel}/store/2?{options}")
    with servers.direct(server, "s3cret") as direct:
        direct.select(2)
        assert direct.get("probe") == b"1"
