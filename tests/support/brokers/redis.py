"""Redis Streams, on the session's Valkey."""

import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.harness import Features, Found
from tests.support.redis_users import create_users, url_of
from tests.support.servers import clean

GROUP = "image-moderation"
REPORTED = "image.reported"


class RedisHarness:
    """See `harness.Harness`."""

    name = "redis"
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
        loses=("group", "stream"),
    )

    def __init__(self, server: EmbeddedRedis) -> None:
        """`server` stays the caller's to end."""
        self._server = server

    @property
    def url(self) -> str:
        """The service's own user, who may do no more than `deploy/redis/users.acl` says."""
        return url_of("service", self._server.url)

    @property
    def commands_url(self) -> str:
        return url_of("operator", self._server.url)

    @property
    def port(self) -> int:
        return self._server.port

    def url_at(self, port: int) -> str:
        return url_of("service", f"redis://127.0.0.1:{port}")

    @property
    def site_url(self) -> str:
        """Most clients of Redis know no Unix sockets."""
        return self._server.tcp_url

    def fresh(self) -> None:
        if not self._server.running:
            self.restart()
        create_users(self._server.url)
        clean(self._server.url)

    def kill(self) -> None:
        self._server.kill()

    def restart(self) -> None:
        self._server.restart()
        create_users(self._server.url)

    def suspend(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._server.pid is not None
        os.kill(self._server.pid, number)

    def close(self) -> None:
        """The server is the session's."""

    def publish(
        self, channel: str, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        with self._client() as client, client.pipeline(transaction=False) as pipeline:
            for body in bodies:
                pipeline.xadd(channel, {"__data__": body, **(headers or {})})
            pipeline.execute()

    def read(self, channel: str) -> list[Found]:
        with self._client() as client:
            entries: Any = client.xrange(channel)
        return [
            Found(fields.pop(b"__data__"), {name.decode(): value.decode() for name, value in fields.items()})
            for _, fields in entries
        ]

    def unbind(self, channel: str) -> None:
        """A stream needs nobody bound."""

    def bind(self, channel: str) -> None:
        """As above."""

    def waiting(self, channel: str) -> int:
        with self._client() as client:
            if not client.exists(channel):
                return 0
            groups: Any = client.xinfo_groups(channel)
            for group in groups:
                if group["name"] == GROUP.encode():
                    return int(group["lag"]) + int(group["pending"])
            return int(client.xlen(channel))

    def kept(self, channel: str) -> int:
        with self._client() as client:
            return int(client.xlen(channel))

    def lose(self, what: str) -> None:
        with self._client() as client:
            if what == "group":
                client.xgroup_destroy(REPORTED, GROUP)
            else:
                client.delete(REPORTED)

    def _client(self) -> Any:
        # Nothing is repeated unseen: who publishes must know what may be there twice.
        return redis.Redis.from_url(self._server.url, retry=Retry(NoBackoff(), 0))
