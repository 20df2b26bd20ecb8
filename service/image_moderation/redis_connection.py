"""One way to connect to Redis, for every room that does.

Packs commands in C (hiredis): redis-py's asyncio connections otherwise do it in Python even where
hiredis is installed, which was the first line of the profile. Automatic retries are off, because a
command whose reply was lost may have been applied: whoever called decides what to repeat.

Imports `urls` and `redis_sentinel` alone of the project.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from hiredis import pack_command
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError  # noqa: A004 - the client raises this one, not the built-in
from redis.exceptions import TimeoutError as RedisTimeoutError

from image_moderation.redis_sentinel import SentinelClient
from image_moderation.urls import STORE_SCHEMES, Url, parse
from image_moderation.urls.options import LEAST_CONNECTIONS
from image_moderation.urls.redis_arguments import to_one_server, to_sentinels, to_servers

SOCKET_TIMEOUT = 5.0
"""Seconds that one reply may take; a blocking read must ask for less."""


def _pack(command: tuple[Any, ...]) -> bytes:
    name = command[0]
    if isinstance(name, str) and " " in name:  # redis-py writes "XGROUP CREATE" as one word
        command = (*name.split(), *command[1:])
    packed: bytes = pack_command(command)
    return packed


class _PackedInC(AbstractConnection):
    def pack_command(self, *args: Any) -> list[bytes]:
        return [_pack(args)]

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join([_pack(tuple(command)) for command in commands])]

    async def send_packed_command(
        self, command: bytes | str | Iterable[bytes], check_health: bool = True
    ) -> None:
        """As redis-py's own, but for `asyncio.wait_for`, which makes a task for each command and, up to
        Python 3.11, may swallow a cancellation that comes as the command leaves: a loop that was told to
        stop would go on.
        """
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]
        if isinstance(command, str | bytes):
            command = [command.encode() if isinstance(command, str) else command]
        try:
            async with asyncio.timeout(self.socket_timeout):
                writer: Any = self._writer
                writer.writelines(command)
                await writer.drain()
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("the server did not take the command in time") from None
        except (OSError, RuntimeError) as error:
            # RuntimeError is uvloop's word for a connection that the other side has reset.
            await self.disconnect(nowait=True)
            raise ConnectionError(f"the connection broke: {error}") from error
        except BaseException:
            # Half a command may have left.
            await self.disconnect(nowait=True)
            raise


class PackedConnection(_PackedInC, Connection):
    """Over TCP."""


class PackedSSLConnection(_PackedInC, SSLConnection):
    """Over TLS."""


class PackedUnixConnection(_PackedInC, UnixDomainSocketConnection):
    """Over a Unix socket."""


Client = Redis | RedisCluster

_CLASSES = {"redis": PackedConnection, "rediss": PackedSSLConnection, "unix": PackedUnixConnection}


def connection_class(url: Url) -> type[PackedConnection | PackedSSLConnection | PackedUnixConnection]:
    """The connection class for the URL of one server."""
    return _CLASSES[url.scheme.name]


def connect(text: str, *, most_connections: int = LEAST_CONNECTIONS) -> Client:
    """Return a client for a URL; nothing is sent until its first command.

    One server, the primary that Sentinels name, or a Cluster: every scheme of stores in `urls.schemes`.

    Raises:
        UrlError: it is no URL of a store.
    """
    url = parse(text, STORE_SCHEMES)
    runtime: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": SOCKET_TIMEOUT,
    }
    limit = {"max_connections": url.options.get("max_connections", most_connections)}
    if url.scheme.name in _CLASSES:
        # Not ConnectionPool.from_url, which prefers its own class to the one it is given.
        arguments = to_one_server(url) | runtime | limit
        return Redis.from_pool(ConnectionPool(connection_class=connection_class(url), **arguments))
    arguments = to_servers(url) | runtime | limit | {"ssl": url.scheme.tls}
    if url.name:
        sentinel = Sentinel([])  # type: ignore[no-untyped-call]
        asking = to_sentinels(url) | runtime | {"ssl": url.scheme.tls}
        sentinel.sentinels = [SentinelClient(host=host, port=port, **asking) for host, port in url.hosts]
        master: Redis = sentinel.master_for(url.name, **arguments)
        return master
    nodes = [ClusterNode(host, port) for host, port in url.hosts]
    return RedisCluster(startup_nodes=nodes, **arguments)


def connect_one(url: str) -> Redis:
    """The same for a URL of one server."""
    client = connect(url)
    if not isinstance(client, Redis):
        raise TypeError("takes the URL of one server")
    return client


async def close(client: Client) -> None:
    """Close every connection of a client, those to its Sentinels as well."""
    await client.aclose()
    manager: Sentinel | None = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for sentinel in manager.sentinels if manager else ():
        await sentinel.aclose()
