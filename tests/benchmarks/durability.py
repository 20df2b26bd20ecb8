"""What `MODERATION_STORE_MIN_REPLICAS` and `MODERATION_STORE_FSYNC` cost, as seen by the store's own calls.

`python -m tests.benchmarks.durability [ROUNDS]` applies the same number of reports once a round under each
setting, in turn, so that what else the machine does hits all alike. Eight lanes send batches of 500, as the
service does on Redis, and do nothing else, so the service as a whole is slowed down by less.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Report
from image_moderation.embedded import find_engine
from image_moderation.redis_connection import close, connect
from image_moderation.store.durability import Durability
from image_moderation.store.redis_store import Lifetimes, RedisStore
from image_moderation.wiring import clock
from tests.support.redis_processes import RedisNode, replicate

LANES, BATCH, BATCHES, ROUNDS = 8, 500, 64, 7
OFF = "off"
SETTINGS = {
    OFF: ("everysec", Durability()),
    "MIN_REPLICAS=1": ("everysec", Durability(replicas=1)),
    "FSYNC=on with appendfsync everysec": ("everysec", Durability(fsync=True)),
    "off with appendfsync always": ("always", Durability()),
    "FSYNC=on with appendfsync always": ("always", Durability(fsync=True)),
    "both with appendfsync always": ("always", Durability(replicas=1, fsync=True)),
}
"""By name: how the store and its replica write to disk, and what is waited for."""


def batches() -> list[list[Report]]:
    now = clock()
    return [
        [
            Report(f"img-{(first + n) % 4_001}", f"user-{(first + n) // 4_001}", now, now, "spam")
            for n in range(BATCH)
        ]
        for first in range(0, BATCHES * BATCH, BATCH)
    ]


async def seconds(store: RedisNode, durability: Durability) -> float:
    """Apply all reports to an empty store; return how long it took."""
    store.ask("FLUSHALL")
    client = connect(store.url)
    applying = RedisStore(
        client,
        prefix="moderation",
        policy=Policy(),
        lifetimes=Lifetimes(decided=86_400_000),
        reporter_key=b"a key for benchmarks",
        clock=clock,
        durability=durability,
    )
    await applying.open()
    waiting = batches()

    async def lane() -> None:
        while waiting:
            await applying.apply(waiting.pop(0))

    begun = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(LANES)))
    took = time.perf_counter() - begun
    await close(client)
    return took


def main() -> None:
    runs: dict[str, list[float]] = {name: [] for name in SETTINGS}
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        store, replica = (
            stack.enter_context(RedisNode(find_engine(), Path(place), "appendonly yes")) for _ in range(2)
        )
        replicate(replica, store)
        for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS):
            for name, (appendfsync, durability) in SETTINGS.items():
                for node in (store, replica):
                    node.ask("CONFIG", "SET", "appendfsync", appendfsync)
                runs[name].append(asyncio.run(seconds(store, durability)))
    off = statistics.median(runs[OFF])
    print("| setting | reports/s | of off |\n| --- | --- | --- |")
    for name, took in runs.items():
        rate = BATCHES * BATCH / statistics.median(took)
        print(f"| {name} | {rate:,.0f} | {off / statistics.median(took):.2f} |")


if __name__ == "__main__":
    main()
