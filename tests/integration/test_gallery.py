"""The gallery at a real broker, without a browser: what it knows when it starts, and while it runs."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import redis
from starlette.applications import Starlette

from examples.gallery.app import build
from examples.gallery.site import Settings
from tests.support.asgi import ask
from tests.support.waiting import wait_until_async

EXAMPLES = Path(__file__).parents[2] / "contracts" / "examples" / "valid"


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Starlette]:
    app = build(Settings(url))
    async with app.router.lifespan_context(app):
        yield app


def tell(url: str, channel: str, name: str, decided_at: str) -> None:
    """An example of the contract, about a picture of this gallery."""
    event = json.loads((EXAMPLES / f"{name}.json").read_bytes())
    event["data"] |= {"image_id": "still-lake", "decided_at": decided_at}
    with redis.Redis.from_url(url) as client:
        client.xadd(channel, {"__data__": json.dumps(event)})


async def is_blocked(app: Starlette) -> bool:
    page = (await ask(app, "/")).text
    image = await ask(app, "/images/still-lake.svg")
    assert ('id="card-still-lake" data-state="blocked"' in page) == (image.status == 410)
    return image.status == 410


async def test_the_first_page_shows_what_the_streams_say(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.xadd("image.blocked", {"something": "else"})
        client.xadd("image.blocked", {"__data__": b"\xff"})
    tell(redis_url, "image.unblocked", "unblocked", "2026-11-23T10:00:01.000Z")
    tell(redis_url, "image.blocked", "blocked", "2026-11-23T10:00:02.000Z")
    async with running(redis_url) as app:
        assert await is_blocked(app)
        tell(redis_url, "image.unblocked", "unblocked", "2026-11-23T10:00:03.000Z")
        await wait_until_async(lambda: not app.state.site.exhibition.blocks(), "shown again")
        tell(redis_url, "image.blocked", "blocked", "2026-11-23T10:00:02.500Z")  # late
        tell(redis_url, "image.review-requested", "review-requested", "2026-11-23T10:00:04.000Z")
        await wait_until_async(app.state.site.exhibition.queue, "a request for a review")
        assert not await is_blocked(app)


async def test_a_verdict_is_remembered_though_the_service_has_trimmed_it(redis_url: str) -> None:
    tell(redis_url, "image.review-requested", "review-requested", "2026-11-23T10:00:00.000Z")
    async with running(redis_url) as app:
        assert "Uphold: block “Still lake”" in (await ask(app, "/moderation")).text
        await ask(app, "/moderation/verdicts/still-lake", "verdict=cleared", sec_fetch_site="same-origin")
        await wait_until_async(lambda: not app.state.site.exhibition.queue(), "answered")
    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen("image.reviewed") == 1
        client.xtrim("image.reviewed", maxlen=0)
    async with running(redis_url) as app:
        assert "Nothing waits for a review." in (await ask(app, "/moderation")).text
