"""The Lua scripts and how they are called: one typed Python signature a script.

Each script's own header documents its keys, arguments and every reply.
"""

from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from service.redis_connection import Client

Command = tuple[Any, ...]


class Script:
    """A script by its digest, so that a call carries forty bytes instead of the text."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = files(__package__).joinpath("scripts", f"{name}.lua").read_bytes()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()

    def command(self, keys: tuple[bytes, ...], *arguments: bytes | int) -> Command:
        """The command that calls the script."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


APPLY = Script("apply")
CLAIM_DUE = Script("claim_due")
DELIVER = Script("deliver")
ALL = (APPLY, CLAIM_DUE, DELIVER)


async def run(redis: Client, commands: list[Command]) -> list[Any]:
    """Run script calls in one round trip and return their replies in order.

    Every script is idempotent, so where the server has lost the scripts (a restart, a failover) they
    are loaded and the whole list runs again.

    Raises:
        redis.exceptions.RedisError: as the client raises it; any of the calls may have been applied.
    """
    try:
        return await _pipeline(redis, commands)
    except NoScriptError:
        for script in ALL:
            await redis.script_load(script.text.decode())
        return await _pipeline(redis, commands)


async def _pipeline(redis: Client, commands: list[Command]) -> list[Any]:
    if len(commands) == 1:
        return [await redis.execute_command(*commands[0])]
    pipeline = redis.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return await pipeline.execute()
