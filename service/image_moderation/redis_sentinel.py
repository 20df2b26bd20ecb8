"""A client of one Sentinel that says why it gave no answer. Imports nothing of the project."""

import re
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

_CONNECTING = re.compile(r"^Error \S+ connecting to \S+\. ")
"""How redis-py begins such an error; the host stands in front of it anyway."""
_TLS = re.compile(r"^.*\[SSL: \w+\] (certificate verify failed: )?")
"""How OpenSSL begins one."""


class SentinelFailure(RedisConnectionError):
    """A Sentinel gave no answer that is of use."""

    def __repr__(self) -> str:
        """The reason, which redis-py leaves out; short, for `/readyz` to have room for those of three."""
        login = "login refused: " if isinstance(self.__cause__, AuthenticationError) else ""
        return login + _TLS.sub("TLS failed: ", _CONNECTING.sub("", str(self)))[:90]


class SentinelClient(Redis):
    """To one Sentinel. redis-py puts the `repr` of it and of its error into "No master found"."""

    def __repr__(self) -> str:
        place = self.connection_pool.connection_kwargs
        return f"{place['host']}:{place['port']}"

    async def sentinel_masters(self) -> Any:
        """As redis-py's own, but a Sentinel that refuses to answer counts as one that doesn't."""
        try:
            return await super().sentinel_masters()
        except (RedisConnectionError, RedisTimeoutError, ResponseError) as error:
            raise SentinelFailure(str(error)) from error
