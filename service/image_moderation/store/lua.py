"""The Lua scripts and how they are called: each with one typed value for its arguments.

Each script's own header documents its keys and every reply; `arguments.py` documents its arguments.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any, Generic, TypeVar

from redis.exceptions import NoPermissionError, NoScriptError, ResponseError

from image_moderation.redis_connection import Client, is_refused
from image_moderation.store import layout, packing, replies
from image_moderation.store.arguments import (
    ApplyArguments,
    ClaimDueArguments,
    DeliverArguments,
    ForgetArguments,
)
from image_moderation.store.formats import Constant
from image_moderation.store.signature import Signature, inline

Command = tuple[Any, ...]
Send = Callable[[Client, Sequence[Command]], Awaitable[list[Any]]]

A = TypeVar("A", bound=tuple[Any, ...])


class Script(Generic[A]):
    """A script by its digest, so that a call carries forty bytes instead of the text."""

    def __init__(
        self,
        name: str,
        arguments: type[A],
        *,
        parts: Sequence[str] = (),
        constants: Mapping[str, Constant] | None = None,
    ) -> None:
        """The text is `scripts/<name>.lua`, or `parts` of the folder `scripts/<name>` one after another."""
        self.name = name
        folder = files(__package__).joinpath("scripts")
        paths = [f"{name}/{part}.lua" for part in parts] or [f"{name}.lua"]
        body = "".join(f"\n-- {path}\n{folder.joinpath(path).read_text()}" for path in paths)
        self._signature = Signature(arguments)
        self.text = self._signature.preamble + inline(body, constants or {})
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest().encode()

    def command(self, keys: Sequence[bytes], arguments: A) -> Command:
        """Return the command that calls the script."""
        return ("EVALSHA", self.sha, len(keys), *keys, *self._signature.values(arguments))


PARTS = (
    "header",
    "case",
    "reasons",
    "records",
    "decisions",
    "evaluation",
    "reports",
    "reviews",
    "one_more",
    "batch",
)
CONSTANTS = layout.CONSTANTS | packing.CONSTANTS | replies.CONSTANTS

APPLY = Script("apply", ApplyArguments, parts=PARTS, constants=CONSTANTS)
CLAIM_DUE = Script("claim_due", ClaimDueArguments)
DELIVER = Script("deliver", DeliverArguments)
FORGET = Script("forget", ForgetArguments, constants=layout.CONSTANTS)
ALL = (APPLY, CLAIM_DUE, DELIVER, FORGET)


async def run(redis: Client, commands: Sequence[Command], send: Send | None = None) -> list[Any]:
    """Run script calls in one round trip and return their replies in order.

    `send` does the round trip, and returns an error in the place of the reply that it stands for.

    A restart or a failover makes a server lose its scripts, so that it refuses calls. Those calls alone run
    again once the scripts are loaded, so that no other call's reply is lost.

    Raises:
        redis.exceptions.RedisError: as the client raises it; any of the calls may have been applied.
    """
    send = send or _pipeline
    replies = await send(redis, commands)
    refused = [number for number, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if refused:
        for script in ALL:
            await redis.script_load(script.text)
        again = await send(redis, [commands[number] for number in refused])
        for number, reply in zip(refused, again, strict=True):
            replies[number] = reply
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, Exception):
            raise _named(command, reply)
    return replies


def _named(command: Command, error: Exception) -> Exception:
    """Return the error, with the commands that the script runs where one is refused: Redis 7.0 names none."""
    script = next((script for script in ALL if command[:2] == ("EVALSHA", script.sha)), None)
    if script is None or not is_refused(error):
        return error
    needed = sorted(set(re.findall(r'redis\.p?call\("([A-Z]+)"', script.text)))
    return NoPermissionError(f"the script {script.name} runs {', '.join(needed)}: {error}")


async def _pipeline(redis: Client, commands: Sequence[Command]) -> list[Any]:
    """Return replies in order, an error in the place of the reply that it stands for."""
    if len(commands) == 1:
        try:
            return [await redis.execute_command(*commands[0])]
        except ResponseError as error:
            return [error]
    pipeline = redis.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return await pipeline.execute(raise_on_error=False)
