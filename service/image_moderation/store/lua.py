"""The Lua scripts and how they are called: one typed Python signature a script.

Each script's own header documents its keys, arguments and every reply.
"""

from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from image_moderation.redis_connection import Client

Command = tuple[Any, ...]


class Script:
    """A script by its digest, so that a call carries forty bytes instead of the text."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = files(__package__).joinpath("scripts", f"{name}.lua").read_bytes()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()

    def command(self, keys: tuple[bytes, ...], *arguments: bytes | str | int) -> Command:
        """The command that calls the script."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


APPLY = Script("apply")
CLAIM_DUE = Script("claim_due")
DELIVER = Script("deliver")
ALL = (APPLY, CLAIM_DUE, DELIVER)


async def run(redis: Client, commands: list[Command]) -> list[Any]:
    """Run script calls in one round trip and return their replies in order.

    Calls that a server refused because it has lost the scripts (a restart, a failover) run again once
    they are loaded; those alone, so that no other call's reply is lost.

    Raises:
        redis.exceptions.RedisError: as the client raises it; any of the calls may have been applied.
    """
    replies = await _pipeline(redis, commands)
    refused = [number for number, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if refused:
        for script in ALL:
            await redis.script_load(script.text.decode())
        again = await _pipeline(redis, [commands[number] for number in refused])
        for number, reply in zip(refused, again, strict=True):
            replies[number] = reply
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


async def _pipeline(redis: Client, commands: list[Command]) -> list[Any]:
    """Replies in order, an error in the place of the reply that it stands for."""
    if len(commands) == 1:
        try:
            return [await redis.execute_command(*commands[0])]
        except ResponseError as error:
            return [error]
    pipeline = redis.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return await pipeline.execute(raise_on_error=False)
