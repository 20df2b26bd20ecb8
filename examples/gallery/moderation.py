"""The moderators' page: every picture, what is known of its reports, and verdicts, which can be changed.

A real site requires a login for it. Imports markupsafe, starlette, sse-starlette and the site's modules.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import uuid4

from markupsafe import Markup
from sse_starlette import JSONServerSentEvent
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from examples.gallery.broker import NotSent, send_verdict
from examples.gallery.events import Decision, Verdict, parse, verdict_event
from examples.gallery.guard import form
from examples.gallery.pictures import PICTURES, Picture
from examples.gallery.reader import picture_of
from examples.gallery.site import REPEAT, Site, site_of, wants_json
from examples.gallery.streams import stream
from examples.gallery.texts import Texts

VERDICTS = ("upheld", "cleared")
LISTS = ("queue", "blocks", "kept", "others")


@dataclass(frozen=True, slots=True)
class Case:
    """A picture on the desk."""

    picture: Picture
    place: Literal["queue", "blocks", "kept", "others"]
    facts: Decision | None
    """What the service told of its reports with its newest block or request."""
    verdict: Verdict | None = None
    """The newest verdict."""
    awaited: bool = False
    """Whether the verdict changes the state, and the service hasn't decided so yet."""
    kept_at: datetime | None = None
    until: datetime | None = None
    """When reports of a kept picture count again."""


def cases(site: Site) -> Mapping[str, list[Case]]:
    """Return every picture in one of the lists: what waits longest first, what was decided last first."""
    every = [_case(site, picture) for picture in PICTURES.values()]
    lists = {name: [case for case in every if case.place == name] for name in LISTS}
    lists["queue"].sort(key=lambda case: case.facts.decided_at if case.facts else "")
    lists["blocks"].sort(key=lambda case: case.facts.decided_at if case.facts else "", reverse=True)
    lists["kept"].sort(key=lambda case: case.kept_at.timestamp() if case.kept_at else 0, reverse=True)
    return lists


def _case(site: Site, picture: Picture) -> Case:
    shown, immunity = site.exhibition, site.settings.rules.immunity
    verdict, facts = shown.verdict(picture.id), shown.facts(picture.id)
    if block := shown.blocked(picture.id):
        return Case(picture, "blocks", block, verdict, shown.unanswered(picture.id))
    if request := shown.request(picture.id):
        return Case(picture, "queue", request, verdict)
    cleared = shown.cleared_at(picture.id)
    if cleared is not None and site.now() < cleared + immunity:
        return Case(picture, "kept", facts, verdict, kept_at=cleared, until=cleared + immunity)
    return Case(picture, "others", None, verdict, shown.unanswered(picture.id))


async def desk(request: Request) -> Response:
    """Show the page. The query says which verdict was sent without a script, to confirm it."""
    site, query = site_of(request), request.query_params
    said, picture = query.get("said", ""), PICTURES.get(query.get("picture", ""))
    message = Markup()
    if said in VERDICTS and picture:
        message = _confirmation(site, site.texts_for(request), said, picture, was=query.get("was", ""))
    return site.page(request, "moderation.html", message=message, lists=cases(site))


async def verdict(request: Request) -> Response:
    """Publish a verdict. A second click sends nothing."""
    site, picture, fields = site_of(request), picture_of(request.path_params["picture"]), await form(request)
    said = fields.get("verdict", "")
    if said not in VERDICTS:
        raise HTTPException(400)
    t, cleared = site.texts_for(request), said == "cleared"
    async with site.one_by_one("verdict", picture.id):
        was = "blocked" if site.exhibition.blocked(picture.id) else "open"
        last = site.exhibition.verdict(picture.id)
        try:
            if last is None or last.cleared != cleared or site.now() - last.at >= REPEAT:
                await publish(site, picture.id, cleared=cleared)
        except NotSent:
            error = t("verdict_not_sent")
            if wants_json(request):
                return JSONResponse({"error": error}, 503)
            return site.page(
                request, "moderation.html", status=503, error=error, lists=cases(site), here="/moderation"
            )
    if wants_json(request):
        message = _confirmation(site, t, said, picture, was=was)
        return JSONResponse({"notice": site.notice(t, message)}, 202)
    return RedirectResponse(f"/moderation?said={said}&picture={picture.id}&was={was}#case-{picture.id}", 303)


async def publish(site: Site, picture_id: str, *, cleared: bool) -> None:
    """Publish a verdict. Raises NotSent."""
    event = verdict_event(event_id=str(uuid4()), image_id=picture_id, cleared=cleared, at=site.now())
    await send_verdict(site.client, event)
    site.learn(parse(event, site.now()))


def _confirmation(site: Site, t: Texts, said: str, picture: Picture, *, was: str) -> Markup:
    """Say what the verdict does to a picture that was blocked or open."""
    key = f"said_{said}_{'blocked' if was == 'blocked' else 'open'}"
    return t.html(key, title=picture.titles[t.language], immunity=t.span(site.settings.rules.immunity))


async def image(request: Request) -> Response:
    """Return a picture, even a blocked one: a moderator must see it to review it."""
    picture = picture_of(request.path_params["picture"])
    return Response(picture.svg, media_type="image/svg+xml", headers={"cache-control": "no-store"})


async def events(request: Request) -> Response:
    site = site_of(request)
    return stream(_desks(site, site.texts_for(request)))


async def _desks(site: Site, t: Texts) -> AsyncIterator[JSONServerSentEvent]:
    """Give the lists whenever they change."""
    shown = ""
    with site.news.subscribe() as news:
        while True:
            html = site.render("desk.html", t, lists=cases(site))
            if html != shown:
                yield JSONServerSentEvent({"html": html}, event="desk")
                shown = html
            await news.get()


ROUTES = [
    Route("/moderation", desk),
    Route("/moderation/verdicts/{picture}", verdict, methods=["POST"]),
    Route("/moderation/images/{picture}.svg", image),
    Route("/moderation/events", events),
]
