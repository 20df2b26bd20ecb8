"""The site as one value: what it knows, whom it tells, and how a page of it is made.

Imports jinja2, starlette and the other modules of the site that it joins.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import jinja2
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import HTMLResponse

from examples.gallery.events import Decision, Verdict
from examples.gallery.exhibition import Exhibition
from examples.gallery.journal import Journal
from examples.gallery.live import Hub
from examples.gallery.pictures import PICTURES, Picture
from examples.gallery.texts import LANGUAGES, Texts, chosen, language_of, load
from examples.gallery.visitors import remember, visitor

REASONS = ("nudity", "violence", "hate", "spam", "other")

_JOURNALS = 200  # visitors of the brigade page whose log is kept


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator tells the site. Pages explain window and immunity: say what the service was told."""

    redis_url: str
    window: timedelta = timedelta(days=30)
    immunity: timedelta = timedelta(days=30)
    network_key: bytes | None = None
    """With a key, a report carries a digest of the visitor's network as its group."""
    patience: timedelta = timedelta(seconds=2)
    """How long a brigade waits for a decision."""
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    """Names under which the site answers; others are refused."""


class Site:
    """Made once the broker is connected; lives in the application's state."""

    def __init__(self, settings: Settings, client: Redis) -> None:
        self.settings = settings
        self.client = client
        self.exhibition = Exhibition(PICTURES)
        self.news: Hub[Decision | Verdict] = Hub()
        self.texts = load()
        self._tasks: set[asyncio.Task[None]] = set()
        self._journals: OrderedDict[str, Journal] = OrderedDict()
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(pictures=PICTURES, languages=LANGUAGES, all_reasons=REASONS)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def start(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Does it besides the request that asked for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself keeps no hold of a task
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def learn(self, event: Decision | Verdict) -> None:
        """Takes an event from the broker; news goes out to all open pages."""
        if self.exhibition.apply(event):
            self.news.publish(event)

    def journal(self, secret: str) -> Journal:
        """A visitor's log of the brigade page; of many visitors the longest away are forgotten."""
        journal = self._journals.setdefault(secret, Journal())
        self._journals.move_to_end(secret)
        while len(self._journals) > _JOURNALS:
            self._journals.popitem(last=False)
        return journal

    def texts_for(self, request: Request) -> Texts:
        return self.texts[language_of(request)]

    def render(self, template: str, t: Texts, **values: object) -> str:
        return self._templates.get_template(template).render(t=t, site=self, **values)

    def page(self, request: Request, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
        """A whole page, for this visitor."""
        visitor(request)
        values = {"message": "", "error": "", **values}
        html = self.render(template, self.texts_for(request), path=request.url.path, **values)
        response = HTMLResponse(
            html,
            status,
            # What is blocked may change at any moment, also for a page that is gone back to.
            {"cache-control": "no-store", "vary": "cookie, accept-language"},
        )
        remember(request, response)
        if language := chosen(request):
            response.set_cookie("lang", language, max_age=365 * 24 * 3600, samesite="lax", httponly=True)
        return response

    def card(self, picture: Picture, t: Texts) -> Mapping[str, str]:
        """What an open gallery page needs to show a picture's present state."""
        is_blocked = self.exhibition.blocked(picture.id) is not None
        title = picture.titles[t.language]
        return {
            "id": picture.id,
            "state": "blocked" if is_blocked else "open",
            "html": self.render("card.html", t, picture=picture),
            "thumb": self.render("thumb.html", t, picture=picture),
            "say": t("blocked_now" if is_blocked else "open_now", title=title),
        }


def site_of(request: Request) -> Site:
    return cast("Site", request.app.state.site)


def wants_json(request: Request) -> bool:
    """A script asks, rather than a plain form."""
    return "application/json" in request.headers.get("accept", "")
