"""One way to connect to Redis, for every room that does.

Packs commands in C (hiredis): redis-py's asyncio connections otherwise do it in Python even where
hiredis is installed, which was the first line of the profile. Automatic retries are off, because a
command whose reply was lost may have been applied: whoever called decides what to repeat. After a
failover behind one address every connection is made anew, because those that are open stay with the
old primary.

Imports `urls`, `redis_handshake` and `redis_sentinel` alone of the project.
"""

import asyncio
import re
from collections.abc import Iterable
from typing import Any, TypeVar

from hiredis import pack_command
from redis.asyncio import ConnectionPool, Redis, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection
from redis.backoff import NoBackoff
from redis.exceptions import (
    ConnectionError,  # noqa: A004 - the client raises this one, not the built-in
    RedisError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from image_moderation.redis_handshake import ConnectionOverTls, FirstExchange, PlainConnection
from image_moderation.redis_sentinel import SentinelClient
from image_moderation.urls import STORE_SCHEMES, Url, parse
from image_moderation.urls.options import LEAST_CONNECTIONS
from image_moderation.urls.redis_arguments import to_one_server, to_sentinels, to_servers

SOCKET_TIMEOUT = 5.0
"""Seconds that one reply may take; a blocking read must ask for less."""

_NOT_THE_PRIMARY = re.compile(r"(?:^|-)(?:READONLY|MASTERDOWN|LOADING|CLUSTERDOWN|NOREPLICAS|UNBLOCKED)\b")
"""Answers of a server that is a replica now, that has lost its replicas, or that is not yet what it shall be.
Redis 6.2 quotes them within the error of a script.
"""

_REFUSED = re.compile(r"(?i)no permissions|user executing the script can't|acl failure|unknown command")
"""Answers to a user that lacks a command or a key, and of a server on which a command was renamed."""


def is_refused(error: Exception) -> bool:
    """Return whether the server has the answer but this user may not ask for it."""
    return isinstance(error, RedisError) and bool(_REFUSED.search(str(error)))


def needed_grants(error: BaseException) -> str:
    """Return where to find what a user must be allowed to run, if that is what is missing; else ""."""
    missing = isinstance(error, Exception) and is_refused(error)
    return "; deploy/redis/users.acl grants what is needed" if missing else ""


def _pack(command: tuple[Any, ...]) -> bytes:
    name = command[0]
    if isinstance(name, str) and " " in name:  # redis-py writes "XGROUP CREATE" as one word
        command = (*name.split(), *command[1:])
    packed: bytes = pack_command(command)
    return packed


class _Failovers:
    """How often a connection of one pool has met a server that is not the primary."""

    count = 0


class _PackedInC(FirstExchange):
    """Packs in C, and connects anew before the next command once a connection of its pool has met a server
    that is not the primary: the address may lead to another one by now.

    The open replies of a pipeline are read first. A server that is merely read-only for a while costs a
    connection for each try, and tries are half a second apart.
    """

    failovers = _Failovers()
    """Of its pool: `_of_one_pool` makes one for each."""
    _met = 0
    _connecting = False

    async def connect_check_health(
        self, check_health: bool = True, retry_socket_connect: bool = True
    ) -> None:
        if self.is_connected:
            return
        self._met, self._connecting = self.failovers.count, True
        try:
            await super().connect_check_health(check_health, retry_socket_connect)
        finally:
            self._connecting = False

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)
        except RedisError as error:
            answer = f"{getattr(error, 'status_code', '') or ''} {error}".strip()
            if _NOT_THE_PRIMARY.search(answer) and self._met == self.failovers.count:
                self.failovers.count += 1
            raise

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
        if self.is_connected and self._met != self.failovers.count and not self._connecting:
            await self.disconnect(nowait=True)
        if not self.is_connected:
            await self.connect()  # type: ignore[no-untyped-call]
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call]
        if isinstance(command, str | bytes):
            command = [command.encode() if isinstance(command, str) else command]
        writer: Any = self._writer
        if writer is None:  # a Cluster's client closes all connections of a node once one of them breaks
            raise ConnectionError("the connection was closed meanwhile")
        try:
            writer.writelines(command)
            _, high_water = writer.transport.get_write_buffer_limits()
            if writer.transport.get_write_buffer_size() > high_water:  # else `drain` returns at once
                async with asyncio.timeout(self.socket_timeout):
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


class PackedConnection(_PackedInC, PlainConnection):
    """Over TCP."""


class PackedSSLConnection(_PackedInC, ConnectionOverTls):
    """Over TLS."""


class PackedUnixConnection(_PackedInC, UnixDomainSocketConnection):
    """Over a Unix socket."""


class PackedSentinelConnection(SentinelManagedConnection, PackedConnection):
    """Over TCP, to the primary that the Sentinels name."""


class PackedSentinelSSLConnection(SentinelManagedSSLConnection, PackedSSLConnection):
    """The same over TLS."""


class DirectRedis(Redis):
    """Runs each command on a connection of its pool, and nothing around it.

    redis-py's own client also counts and times every command for telemetry that is off here, and wraps it for
    retries, which are off too: a quarter of what a small command costs.
    """

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """See `Redis`."""
        pool = self.connection_pool
        connection = pool.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            await pool.ensure_connection(connection)
            await connection.send_command(*args)
            return await self.parse_response(connection, args[0], **options)
        finally:
            await pool.release(connection)


Client = Redis | RedisCluster
C = TypeVar("C", bound=_PackedInC)

_CLASSES = {"redis": PackedConnection, "rediss": PackedSSLConnection, "unix": PackedUnixConnection}


def connection_class(url: Url) -> type[PackedConnection | PackedSSLConnection | PackedUnixConnection]:
    """Return the connection class for the URL of one server, for one pool alone."""
    return _of_one_pool(_CLASSES[url.scheme.name], url)


def _of_one_pool(base: type[C], url: Url) -> type[C]:
    own = {"failovers": _Failovers()} | ({} if url.tls is None else {"context": url.tls.context()})
    return type(base.__name__, (base,), own)


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
        return DirectRedis.from_pool(ConnectionPool(connection_class=connection_class(url), **arguments))
    arguments = to_servers(url) | runtime | limit
    if url.name:
        sentinel = Sentinel([])  # type: ignore[no-untyped-call]
        one = _of_one_pool(PackedSSLConnection if url.tls else PackedConnection, url)
        asking = to_sentinels(url) | runtime | {"connection_class": one}
        pools = [ConnectionPool(host=host, port=port, **asking) for host, port in url.hosts]
        sentinel.sentinels = [SentinelClient.from_pool(pool) for pool in pools]
        connection = _of_one_pool(PackedSentinelSSLConnection if url.tls else PackedSentinelConnection, url)
        options = arguments | {"connection_class": connection}
        master: Redis = sentinel.master_for(url.name, redis_class=DirectRedis, **options)
        return master
    nodes = [ClusterNode(host, port) for host, port in url.hosts]
    cluster = RedisCluster(startup_nodes=nodes, ssl=url.scheme.tls, **arguments)
    # It takes no class of connections, and makes each node of these arguments.
    kind: Any = _of_one_pool(PackedSSLConnection if url.tls else PackedConnection, url)
    cluster.connection_kwargs["connection_class"] = kind
    for node in cluster.nodes_manager.startup_nodes.values():
        node.connection_class = kind
    return cluster


def connect_one(url: str, *, most_connections: int = LEAST_CONNECTIONS) -> Redis:
    """The same for a URL of one server, which Sentinels may name."""
    client = connect(url, most_connections=most_connections)
    if not isinstance(client, Redis):
        raise TypeError("takes the URL of one server")
    return client


async def close(client: Client) -> None:
    """Close every connection of a client, those to its Sentinels as well."""
    await client.aclose()
    manager: Sentinel | None = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for sentinel in manager.sentinels if manager else ():
        await sentinel.aclose()
