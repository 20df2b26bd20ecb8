"""How a connection to Redis begins: by which certificates, and what it means if the server hangs up.

Imports nothing of the project.
"""

import ssl
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Connection, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError  # noqa: A004 - the client raises this one, not the built-in


class FirstExchange(AbstractConnection):
    """Says that the server hung up before it answered anything. One that wants TLS or a certificate may do so
    without a word, or its word is lost with the connection.
    """

    _hung_up = "the server hung up before its first answer; it may be that it wants TLS"

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        try:
            await super().on_connect_check_health(check_health)
        except ConnectionError as error:
            # Not one that says more, such as a refused login or an alert of TLS.
            if type(error) is not ConnectionError or "SSL" in str(error):
                raise
            raise ConnectionError(self._hung_up) from error


class PlainConnection(FirstExchange, Connection):
    """Over TCP, to a node of a Cluster."""


class ConnectionOverTls(FirstExchange, SSLConnection):
    """Over TLS by the certificates of a URL. redis-py's own context would trust the system's authorities
    beside those that are named, and never read a renewed file.
    """

    context: ssl.SSLContext
    """Of its URL: `redis_connection` sets it for each."""
    _hung_up = "the server hung up after the TLS handshake; it may be that it wants a certificate"

    def _connection_arguments(self) -> Mapping[str, Any]:
        return {**super(SSLConnection, self)._connection_arguments(), "ssl": self.context}
