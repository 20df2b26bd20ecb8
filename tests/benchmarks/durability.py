"""What `MODERATION_STORE_MIN_REPLICAS` and `MODERATION_STORE_FSYNC` cost.

`python -m tests.benchmarks.durability [ROUNDS]` consumes the same reports once a round under each setting, in
turn, so that what else the machine does hits all alike. The store has one replica; the broker
is another server.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from image_moderation.embedded import EmbeddedRedis, find_engine
from tests.support.outcome import all_done, make_sample, send, wrong
from tests.support.redis_processes import RedisNode, replicate
from tests.support.servers import free_port
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

REPORTS, ROUNDS = 20_000, 5
SETTINGS = {
    "off": ("everysec", {}),
    "MIN_REPLICAS=1": ("everysec", {"MODERATION_STORE_MIN_REPLICAS": "1"}),
    "FSYNC=on, appendfsync everysec": ("everysec", {"MODERATION_STORE_FSYNC": "on"}),
    "off, appendfsync always": ("always", {}),
    "FSYNC=on, appendfsync always": ("always", {"MODERATION_STORE_FSYNC": "on"}),
    "both, appendfsync always": (
        "always",
        {"MODERATION_STORE_FSYNC": "on", "MODERATION_STORE_MIN_REPLICAS": "1"},
    ),
}
"""By name: how the store and its replica write to disk, and what the service is told."""


@contextmanager
def servers(folder: Path) -> Iterator[tuple[EmbeddedRedis, RedisNode, RedisNode]]:
    engine = find_engine()
    with ExitStack() as stack:
        broker = stack.enter_context(
            EmbeddedRedis(folder / "broker", engine=engine, appendfsync="no", port=free_port())
        )
        store, replica = (stack.enter_context(RedisNode(engine, folder, "appendonly yes")) for _ in range(2))
        replicate(replica, store)
        yield broker, store, replica


def seconds(folder: Path, broker: EmbeddedRedis, store: RedisNode, env: dict[str, str]) -> float:
    """Consume the reports once; return how long it took from the first one sent to the last one done with."""
    client: Any = redis.Redis.from_url(broker.url)
    client.flushall()
    store.ask("FLUSHALL")
    messages, expected = make_sample(REPORTS, malformed=0, images=4_000, people=2_000)
    env = {"MODERATION_BROKER_URL": broker.url, "MODERATION_STORE_URL": store.url, **env}
    with ServiceProcess(folder, env, timeout=60), store.client() as outboxes:
        begun = time.perf_counter()
        send(client, messages)
        wait_until(lambda: all_done(client, outboxes), "all are done", 300)
        took = time.perf_counter() - begun
    if found := wrong(client, expected):
        raise SystemExit(f"the outcome is wrong: {found}")
    return took


def main() -> None:
    runs: dict[str, list[float]] = {name: [] for name in SETTINGS}
    with tempfile.TemporaryDirectory() as place, servers(Path(place)) as (broker, store, replica):
        for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS):
            for name, (appendfsync, env) in SETTINGS.items():
                for node in (store, replica):
                    node.ask("CONFIG", "SET", "appendfsync", appendfsync)
                runs[name].append(seconds(Path(place), broker, store, env))
    off = statistics.median(runs["off"])
    print("| setting | reports/s | of off |\n| --- | --- | --- |")
    for name, took in runs.items():
        print(f"| {name} | {REPORTS / statistics.median(took):,.0f} | {off / statistics.median(took):.2f} |")


if __name__ == "__main__":
    main()
