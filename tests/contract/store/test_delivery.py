"""Publishing and settling in one step, which needs broker and store in one Redis."""

from collections.abc import Sequence
from typing import Any

import pytest

from image_moderation.domain.decision import Backlog, Delivery, OutboxEntry, Publication
from image_moderation.domain.message import Outgoing
from image_moderation.redis_connection import Client
from tests.support.histories import BASE
from tests.support.store_backends import IN_ONE_REDIS, Backend, Store, two_reports

SETTLED, ALREADY_SETTLED = Delivery.SETTLED, Delivery.ALREADY_SETTLED


def published(entries: Sequence[OutboxEntry], body: bytes = b'{"id": "1"}') -> list[Publication]:
    return [Publication(entry, Outgoing("image.blocked", body)) for entry in entries]


@IN_ONE_REDIS
async def test_delivering_publishes_exactly_once(client: Client, backend: Backend, store: Store) -> None:
    outbox, other = backend.redis_outbox(), backend.redis_outbox()
    entries = (await store.apply([*two_reports("a"), *two_reports("b"), *two_reports("c")])).entries
    a, b, c = (published([entry], entry.decision.image_id.encode())[0] for entry in entries)
    assert list(await outbox.deliver([a])) == [SETTLED]
    await client.script_flush()
    assert list(await other.deliver([a, b, a, b])) == [
        ALREADY_SETTLED,
        SETTLED,
        ALREADY_SETTLED,
        ALREADY_SETTLED,
    ]
    assert list(await outbox.deliver([b, c])) == [ALREADY_SETTLED, SETTLED]
    assert list(await outbox.settle(entries)) == [False, False, False]
    assert await outbox.backlog() == Backlog(0, None)
    stream: Any = await client.xrange("image.blocked")
    assert [fields for _, fields in stream] == [{b"__data__": one.message.body} for one in (a, b, c)]
    assert list(await outbox.deliver([])) == []


@IN_ONE_REDIS
async def test_settled_elsewhere_is_not_published(client: Client, backend: Backend, store: Store) -> None:
    outbox = backend.redis_outbox()
    entries = (await store.apply(two_reports())).entries
    await outbox.settle(entries)
    assert list(await outbox.deliver(published(entries))) == [ALREADY_SETTLED]
    assert await client.exists("image.blocked") == 0


@IN_ONE_REDIS
@pytest.mark.parametrize(("keep", "left"), [(None, 501), (1_000, 501), (250, 301), (100, 101)])
async def test_delivering_trims_what_is_older(
    client: Client, backend: Backend, store: Store, keep: int | None, left: int
) -> None:
    """In whole blocks of a hundred entries, which is what costs nothing."""
    outbox = backend.redis_outbox(decision_retention=keep)
    for age in range(500, 0, -1):
        await client.xadd("image.blocked", {"__data__": "old"}, id=f"{BASE - age}-0")
    entries = (await store.apply(two_reports())).entries
    assert list(await outbox.deliver(published(entries))) == [SETTLED]
    assert await client.xlen("image.blocked") == left
    newest: Any = await client.xrevrange("image.blocked", count=1)
    assert newest[0][1] == {b"__data__": b'{"id": "1"}'}
