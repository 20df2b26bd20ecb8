"""The shared state of the site: the pictures' state, the listeners, and the rendering of pages.

Imports jinja2, starlette and other modules of the site.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from urllib.parse import urlencode
from weakref import WeakValueDictionary

import jinja2
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import HTMLResponse

from examples.gallery.events import Event, Report
from examples.gallery.exhibition import Exhibition
from examples.gallery.journal import Journal
from examples.gallery.live import Hub
from examples.gallery.marks import Marks
from examples.gallery.pictures import PICTURES, Picture
from examples.gallery.standing import Rules, Standing, standing
from examples.gallery.texts import LANGUAGES, Texts, chosen, language_of, load
from examples.gallery.visitors import remember, reporter_id, visitor

REASONS = ("nudity", "violence", "hate", "spam", "other")

REPEAT = timedelta(seconds=10)
"""The same said again within this time is a second click, and isn't sent."""

_JOURNALS = 200  # logs of brigade-page visitors that are kept


@dataclass(frozen=True, slots=True)
class Settings:
    """The site's settings."""

    redis_url: str
    rules: Rules = field(default_factory=Rules)
    network_key: bytes | None = None
    """If set, a report has a digest of the visitor's network, keyed with it, as `reporter_group`."""
    decision_timeout: timedelta = timedelta(seconds=2)
    """How long the brigade page waits for a decision."""
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    """Host names of the site; requests for other names are refused."""


class Site:
    """Created when the broker is connected; stored in the application's state."""

    def __init__(self, settings: Settings, client: Redis) -> None:
        self.settings = settings
        self.client = client
        self.exhibition = Exhibition(PICTURES)
        self.marks = Marks(PICTURES)
        self.news: Hub[Event] = Hub()
        self.texts = load()
        self._tasks: set[asyncio.Task[None]] = set()
        self._journals: OrderedDict[str, Journal] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
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
        """Run the work in the background, independently of its request."""
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the event loop keeps only a weak reference to a task
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def one_by_one(self, *key: str) -> asyncio.Lock:
        """Return the lock of what must not be sent twice by two clicks."""
        return self._locks.setdefault("\n".join(key), asyncio.Lock())

    def learn(self, event: Event | None) -> None:
        """Apply an event; if it changes anything, publish it to all open pages."""
        if event is None:
            return
        changed = self.marks.apply(event) if isinstance(event, Report) else self.exhibition.apply(event)
        if changed:
            self.news.publish(event)

    def standing(self, picture: Picture, reporter: str) -> Standing:
        """Return what is true of a picture for a visitor."""
        report = self.marks.report(reporter, picture.id)
        return standing(self.exhibition, picture.id, report, self.now(), self.settings.rules)

    def journal(self, secret: str) -> Journal:
        """Return a visitor's log of the brigade page; the least recently used logs are dropped."""
        journal = self._journals.setdefault(secret, Journal())
        self._journals.move_to_end(secret)
        while len(self._journals) > _JOURNALS:
            self._journals.popitem(last=False)
        return journal

    def texts_for(self, request: Request) -> Texts:
        return self.texts[language_of(request)]

    def render(self, template: str, t: Texts, **values: object) -> str:
        return self._templates.get_template(template).render(t=t, site=self, **values)

    def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        here: str | None = None,
        keeps: str = "",
        **values: object,
    ) -> HTMLResponse:
        """Return a whole page for this visitor.

        `here` is the page's own address, if the request has another one. `keeps` is the id of the form whose
        fields a change of the language keeps.
        """
        values = {
            "message": "",
            "error": "",
            "about": None,
            "spoken_of": "",
            "me": reporter_id(visitor(request)),
            **values,
        }
        query = [(name, value) for name, value in request.query_params.items() if name != "lang"]
        path = here or request.url.path
        html = self.render(
            template, self.texts_for(request), path=path, query=urlencode(query), keeps=keeps, **values
        )
        response = HTMLResponse(
            html,
            status,
            # The state may change at any moment, also for a page that the visitor goes back to.
            {"cache-control": "no-store", "vary": "cookie, accept-language"},
        )
        remember(request, response)
        if language := chosen(request):
            response.set_cookie("lang", language, max_age=365 * 24 * 3600, samesite="lax", httponly=True)
        return response

    def card(self, picture: Picture, t: Texts, reporter: str) -> Mapping[str, str]:
        """Return the data that an open page needs to show a picture's current state to this visitor."""
        now = self.standing(picture, reporter)
        is_blocked = now.state == "blocked"
        title = picture.titles[t.language]
        return {
            "id": picture.id,
            "state": now.shown_as,
            "standing": f"{now.state} {'reported' if now.reported else ''}".strip(),
            "html": self.render("card.html", t, picture=picture, me=reporter),
            "thumb": self.render("thumb.html", t, picture=picture),
            "say": t("blocked_now" if is_blocked else "open_now", title=title),
        }

    def notice(self, t: Texts, message: str, picture: Picture | None = None, spoken_of: str = "") -> str:
        """Return the message that confirms what the visitor did.

        `spoken_of` is the state of the picture that it speaks of; the page adds what has changed since.
        """
        return self.render("notice.html", t, message=message, about=picture, spoken_of=spoken_of)


def site_of(request: Request) -> Site:
    return cast("Site", request.app.state.site)


def wants_json(request: Request) -> bool:
    """Return whether a script sent the request, not a plain form."""
    return "application/json" in request.headers.get("accept", "")
