"""The same simulation through the real script on a real Redis: it must decide the same.

The Redis run leaves no image out, so it also shows that those which the in-memory run leaves out don't
matter.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from image_moderation.embedded import EmbeddedRedis
from image_moderation.redis_connection import close, connect
from image_moderation.store.redis_store import Lifetimes, RedisStore
from tests.benchmarks.abuse.attackers import Strategy
from tests.benchmarks.abuse.contestants import Clock, RealPolicy, Taken, in_memory, least_reporters, policy
from tests.benchmarks.abuse.simulation import Run, Simulation
from tests.benchmarks.abuse.world import DAY, World


class Compared(NamedTuple):
    """The decisions of both, each set in a fixed order."""

    decisions: int
    only_in_memory: list[Taken]
    only_in_redis: list[Taken]

    @property
    def same(self) -> bool:
        return not self.only_in_memory and not self.only_in_redis


async def _on_redis(url: str, world: World, settings: Mapping[str, str], strategy: Strategy) -> Run:
    clock, rule, client = Clock(), policy(settings), connect(url)
    store = RedisStore(
        client,
        prefix="moderation",
        policy=rule,
        lifetimes=Lifetimes(decided=365 * DAY),
        reporter_key=b"a key for simulations",
        clock=clock,
    )
    try:
        await client.flushall()
        await store.open()
        return await Simulation(world, RealPolicy(store, rule, clock), strategy).play()
    finally:
        await close(client)


def compare(world: World, settings: Mapping[str, str], strategy: Strategy) -> Compared:
    """Return what both decide, each decision with image, action, trigger, revision and time."""
    least = least_reporters(settings)
    run = asyncio.run(Simulation(world, in_memory(settings), strategy, least=least).play())
    with (
        tempfile.TemporaryDirectory(prefix="image-moderation-abuse-") as folder,
        EmbeddedRedis(Path(folder)) as server,
    ):
        real = asyncio.run(_on_redis(server.url, world, settings, strategy))
    memory, redis = set(run.taken), set(real.taken)
    # A decision that one of them took twice would be lost in a set.
    assert len(memory) == len(run.taken)
    assert len(redis) == len(real.taken)
    return Compared(len(redis), sorted(memory - redis), sorted(redis - memory))
