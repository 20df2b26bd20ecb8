"""The gallery at a real broker, without a browser: what it knows when it starts, and while it runs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

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


ME: Any = {"sec_fetch_site": "same-origin", "cookie": "visitor=" + "v" * 22}


def sent(url: str, channel: str) -> list[dict[str, Any]]:
    """The events of a channel, oldest first."""
    with redis.Redis.from_url(url) as client:
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(channel))
    return [json.loads(fields[b"__data__"]) for _, fields in entries]


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
        assert "Block “Still lake”" in (await ask(app, "/moderation")).text
        await ask(app, "/moderation/verdicts/still-lake", "verdict=cleared", sec_fetch_site="same-origin")
        await wait_until_async(lambda: not app.state.site.exhibition.queue(), "answered")
    with redis.Redis.from_url(redis_url) as client:
        assert client.xlen("image.reviewed") == 1
        client.xtrim("image.reviewed", maxlen=0)
    async with running(redis_url) as app:
        assert "Nothing waits for a review." in (await ask(app, "/moderation")).text


async def test_two_clicks_send_one_report_and_a_retraction_takes_it_back(redis_url: str) -> None:
    async with running(redis_url) as app:
        answers = await asyncio.gather(
            *(ask(app, "/report/still-lake", "reason=spam", **ME) for _ in range(3)),
            ask(app, "/report/still-lake", "reason=spam", accept="application/json", **ME),
        )
        # A second click gets the first one's answer.
        assert [answer.headers["location"] for answer in answers[:3]] == [
            "/?reported=still-lake#card-still-lake"
        ] * 3
        assert "This image will be blocked automatically" in json.loads(answers[3].text)["notice"]
        assert [event["type"] for event in sent(redis_url, "image.reported")] == ["image.reported.v1"]
        again = await ask(app, "/report/still-lake", "reason=hate", **ME)
        assert again.headers["location"] == "/?reported=still-lake&again=1#card-still-lake"
    # The site remembers it, although the service trims what it has acked.
    with redis.Redis.from_url(redis_url) as client:
        client.xtrim("image.reported", maxlen=0)
    async with running(redis_url) as app:
        assert "You reported it" in (await ask(app, "/", **ME)).text
        for _ in range(2):
            back = await ask(app, "/report/still-lake/back", "back=1", **ME)
            assert back.headers["location"] == "/?taken=still-lake#card-still-lake"
        assert "You reported it" not in (await ask(app, "/", **ME)).text
    (retraction,) = sent(redis_url, "image.reported")
    assert retraction["type"] == "image.report-retracted.v1"
    report = sent(redis_url, "gallery.reports")[0]
    assert retraction["data"] == {name: report["data"][name] for name in ("image_id", "reporter_id")}
    assert retraction["time"] >= report["time"]
    async with running(redis_url) as app:
        assert "You reported it" not in (await ask(app, "/", **ME)).text


async def test_two_clicks_send_one_verdict_and_another_changes_it(redis_url: str) -> None:
    async with running(redis_url) as app:
        for verdict in ("cleared", "cleared", "upheld"):
            answer = await ask(app, "/moderation/verdicts/still-lake", f"verdict={verdict}", **ME)
            assert answer.headers["location"].endswith("&was=open#case-still-lake")
    said = [event["data"]["verdict"] for event in sent(redis_url, "image.reviewed")]
    assert said == ["cleared", "upheld"]
