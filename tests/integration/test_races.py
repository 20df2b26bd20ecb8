"""Several clients at once on one server: whatever the order, one decision, one publication, one key."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from image_moderation.domain.decision import Backlog, Delivery, Publication, State
from image_moderation.domain.errors import Misconfigured
from image_moderation.domain.message import Outgoing
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Outcome, Report
from image_moderation.domain.rules.records import distinct_groups
from image_moderation.redis_connection import Client, connect
from image_moderation.store.digests import fingerprint
from image_moderation.store.keys import Keys
from image_moderation.store.redis_outbox import LEASE, RedisOutbox
from image_moderation.store.redis_store import Lifetimes, RedisStore
from image_moderation.store.reporter_key import agree_on_key, keep_record
from tests.support.declarative import ledger
from tests.support.histories import BASE, report, retraction

KEYS = Keys("moderation")
KEY = b"a key for tests"
REPLICAS = 4
WINDOW = 1_000
ROUNDS = 25


def redis_store(client: Client, threshold: int) -> RedisStore:
    return RedisStore(
        client,
        prefix="moderation",
        policy=Policy(block_threshold=threshold, report_window=WINDOW),
        lifetimes=Lifetimes(decided=1_000),
        reporter_key=KEY,
        clock=lambda: BASE,
    )


@pytest.fixture
async def clients(any_redis_url: str) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        clients = [connect(any_redis_url, most_connections=30) for _ in range(REPLICAS)]
        for client in clients:
            stack.push_async_callback(client.aclose)
        yield clients


@pytest.fixture
async def stores(clients: list[Client]) -> list[RedisStore]:
    stores = [redis_store(client, 5) for client in clients]
    for store in stores:
        await store.open()
    return stores


def redis_outbox(client: Client, now: int = BASE) -> RedisOutbox:
    return RedisOutbox(client, prefix="moderation", clock=lambda: now)


async def spread(stores: Sequence[RedisStore], events: Sequence[Report]) -> list[tuple[Outcome, int]]:
    """Each event in a call of its own, all at once; `(outcome, decisions)` of each."""
    calls = [stores[number % len(stores)].apply([event]) for number, event in enumerate(events)]
    return [(applied.outcomes[0], len(applied.entries)) for applied in await asyncio.gather(*calls)]


async def test_a_hundred_racing_reporters_give_one_decision(
    stores: list[RedisStore], clients: list[Client]
) -> None:
    for number in range(ROUNDS):
        image = f"img-{number}"
        events = [report(f"user-{who}", who, image=image) for who in range(100)]
        random.Random(number).shuffle(events)
        answers = await spread(stores, events)
        assert Counter(outcome for outcome, _ in answers) == {Outcome.COUNTED: 5, Outcome.ALREADY_BLOCKED: 95}
        assert sum(decisions for _, decisions in answers) == 1
        case, (decision,) = await stores[0].case(image)
        assert (case.state, case.revision, decision.distinct_reporters) == (State.BLOCKED, 1, 5)
    assert await redis_outbox(clients[0]).backlog() == Backlog(ROUNDS, BASE)


async def test_racing_repetitions_count_once(stores: list[RedisStore]) -> None:
    for number in range(ROUNDS):
        image = f"img-{number}"
        events = [report(f"user-{who % 4}", who % 4, image=image) for who in range(60)]
        answers = await spread(stores, events)
        assert Counter(answers) == {(Outcome.COUNTED, 0): 4, (Outcome.DUPLICATE, 0): 56}
        case, waiting = await stores[0].case(image)
        assert (case.score, len(case.records), case.reported) == (4, 4, (BASE, BASE + 3))
        assert waiting == []


async def test_racing_batches_give_one_decision_an_image(stores: list[RedisStore]) -> None:
    images = [f"img-{number}" for number in range(40)]
    batches = [[report(f"user-{who}", who, image=image) for image in images] for who in range(20)]
    answers = await asyncio.gather(*(stores[n % REPLICAS].apply(batch) for n, batch in enumerate(batches)))
    decided = Counter(entry.decision.image_id for applied in answers for entry in applied.entries)
    assert decided == dict.fromkeys(images, 1)
    assert sum(list(applied.outcomes).count(Outcome.COUNTED) for applied in answers) == 5 * len(images)


async def test_racing_reports_and_retractions_end_as_some_order_would(stores: list[RedisStore]) -> None:
    """Without a block every order ends the same; with one, both halves of the promise hold."""
    for number in range(2 * ROUNDS):
        rng = random.Random(number)
        image = f"img-{number}"
        events = [
            report(f"user-{who}", rng.randrange(100), image=image) for who in range(rng.randrange(3, 9))
        ]
        events += [retraction(event.reporter_id, rng.randrange(100), image=image) for event in events[::2]]
        events += events[:4]
        rng.shuffle(events)
        answers = await spread(stores, events)
        case, waiting = await stores[0].case(image)
        assert sum(decisions for _, decisions in answers) == len(waiting) <= 1
        if waiting:
            assert ledger([event for event in events if not event.retracted], WINDOW).score >= 5
            assert (case.state, case.revision, case.decided_at) == (State.BLOCKED, 1, BASE)
            assert (case.floor, case.score) == (case.last, 0)
            assert all(not record.stands and record.time > case.floor for record in case.records.values())
            continue
        end = ledger(events, WINDOW)
        assert end.score < 5
        assert (case.score, case.last) == (end.score, end.last)
        digest = stores[0]._digests.reporter
        assert {who: (record.time, record.stands) for who, record in case.records.items()} == {
            digest(who).hex(): (event.time, not event.retracted) for who, event in end.newest.items()
        }
        assert case.score == distinct_groups(case.records)


async def test_racing_deliveries_put_one_entry_into_the_stream(
    stores: list[RedisStore], clients: list[Client]
) -> None:
    outboxes = [redis_outbox(client) for client in clients]
    for number in range(ROUNDS):
        events = [report(f"user-{who}", who, image=f"img-{number}") for who in range(5)]
        entries = (await stores[0].apply(events)).entries
        publications = [Publication(entry, Outgoing("image.blocked", b"%d" % number)) for entry in entries]
        answers = await asyncio.gather(*(outboxes[n % REPLICAS].deliver(publications) for n in range(12)))
        assert Counter(delivery for (delivery,) in answers) == {
            Delivery.SETTLED: 1,
            Delivery.ALREADY_SETTLED: 11,
        }
    stream: Any = await clients[0].xrange("image.blocked")
    assert [fields[b"__data__"] for _, fields in stream] == [b"%d" % number for number in range(ROUNDS)]
    assert await outboxes[0].backlog() == Backlog(0, None)


async def test_racing_sweeps_take_each_decision_once(stores: list[RedisStore], clients: list[Client]) -> None:
    images = [f"img-{number}" for number in range(100)]
    await stores[0].apply([report(f"user-{who}", who, image=image) for who in range(5) for image in images])
    outboxes = [redis_outbox(client, now=BASE + LEASE) for client in clients]
    taken = await asyncio.gather(*(outbox.claim_unpublished() for outbox in outboxes for _ in range(2)))
    assert sorted(entry.decision.image_id for batch in taken for entry in batch) == sorted(images)


# The reporter key ----------------------------------------------------------------------------------


def counting() -> Callable[[int], bytes]:
    """Another key at every call."""
    calls = iter(range(1, 256))
    return lambda size: bytes([next(calls)]) * size


async def test_twenty_starts_at_once_agree_on_one_key(clients: list[Client]) -> None:
    source = counting()
    starts = [agree_on_key(clients[n % REPLICAS], KEYS, None, source) for n in range(20)]
    keys = set(await asyncio.gather(*starts))
    assert len(keys) == 1
    (key,) = keys
    assert len(key) == 32
    assert await clients[0].get("moderation:reporter-key") == b"key:" + key.hex().encode()
    assert await agree_on_key(clients[0], KEYS, None, source) == key


async def test_twenty_starts_at_once_with_two_keys_end_with_one(clients: list[Client]) -> None:
    starts = [
        agree_on_key(clients[n % REPLICAS], KEYS, (b"one", b"two")[n % 2], counting()) for n in range(20)
    ]
    ends = await asyncio.gather(*starts, return_exceptions=True)
    agreed = {end for end in ends if isinstance(end, bytes)}
    refused = [end for end in ends if isinstance(end, BaseException)]
    assert agreed in ({b"one"}, {b"two"})
    assert len(refused) == 10
    assert {type(error) for error in refused} == {Misconfigured}


async def test_a_configured_key_is_never_stored_and_another_is_refused(clients: list[Client]) -> None:
    redis = clients[0]
    assert await agree_on_key(redis, KEYS, b"secret-1", counting()) == b"secret-1"
    record = await redis.get("moderation:reporter-key")
    assert record == b"fingerprint:" + fingerprint(b"secret-1")
    assert await agree_on_key(redis, KEYS, b"secret-1", counting()) == b"secret-1"
    with pytest.raises(Misconfigured, match="is not the key") as refusal:
        await agree_on_key(redis, KEYS, b"secret-2", counting())
    assert "secret" not in str(refusal.value)
    with pytest.raises(Misconfigured, match="was written with a configured key"):
        await agree_on_key(redis, KEYS, None, counting())
    assert await redis.get("moderation:reporter-key") == record


async def test_a_generated_key_may_be_configured_and_no_other(clients: list[Client]) -> None:
    redis = clients[0]
    key = await agree_on_key(redis, KEYS, None, counting())
    assert await agree_on_key(redis, KEYS, key, counting()) == key
    with pytest.raises(Misconfigured, match="is not the key"):
        await agree_on_key(redis, KEYS, b"another", counting())
    assert await agree_on_key(redis, KEYS, None, counting()) == key


async def test_cases_without_a_key_are_refused(clients: list[Client], stores: list[RedisStore]) -> None:
    redis = clients[0]
    await stores[0].apply([report("user-1", 1)])
    await redis.delete("moderation:reporter-key")
    with pytest.raises(Misconfigured, match="holds cases but no key"):
        await agree_on_key(redis, KEYS, None, counting())
    assert await redis.exists("moderation:reporter-key") == 0
    other = Keys("another-prefix")
    assert len(await agree_on_key(redis, other, None, counting())) == 32
    await redis.delete("another-prefix:reporter-key")
    await stores[1].check()  # a running replica records the key it knows
    assert await agree_on_key(redis, KEYS, KEY, counting()) == KEY


async def test_a_lost_record_is_kept_and_a_foreign_one_seen(clients: list[Client]) -> None:
    redis = clients[0]
    key = await agree_on_key(redis, KEYS, None, counting())
    await redis.delete("moderation:reporter-key")
    await keep_record(redis, KEYS, key, configured=False)
    assert await redis.get("moderation:reporter-key") == b"key:" + key.hex().encode()
    await keep_record(redis, KEYS, key, configured=True)
    await redis.set("moderation:reporter-key", b"fingerprint:" + fingerprint(b"another"))
    for configured in (True, False):
        with pytest.raises(Misconfigured, match="is not the key"):
            await keep_record(redis, KEYS, key, configured=configured)
