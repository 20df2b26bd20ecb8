"""The readers' pages: the gallery, reporting and taking back, the pictures, and live updates of blocks.

Readers see no counts, which would invite gaming.
Imports markupsafe, starlette, sse-starlette and the site's modules.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlencode
from uuid import uuid4

from markupsafe import Markup
from sse_starlette import JSONServerSentEvent
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from examples.gallery.broker import NotSent, send_own_report
from examples.gallery.events import Report, parse, report_event, retraction_event
from examples.gallery.guard import form
from examples.gallery.pictures import PICTURES, Picture
from examples.gallery.site import REASONS, REPEAT, Site, site_of, wants_json
from examples.gallery.standing import Standing
from examples.gallery.streams import stream
from examples.gallery.texts import Texts
from examples.gallery.visitors import network_group, remember, reporter_id, visitor


def picture_of(picture_id: str) -> Picture:
    if picture := PICTURES.get(picture_id):
        return picture
    raise HTTPException(404)


async def gallery(request: Request) -> Response:
    """Show the gallery. The query says what the visitor did without a script, to confirm it."""
    site, query = site_of(request), request.query_params
    t, me = site.texts_for(request), reporter_id(visitor(request))
    message, about = Markup(), PICTURES.get(query.get("reported", "")) or PICTURES.get(query.get("taken", ""))
    spoken_of = ""
    if about:
        now = site.standing(about, me)
        spoken_of = now.shown_as
        message = taken_back(t, now)
        if "reported" in query:
            message = thanks(t, replace(now, reported="again" in query))
    return site.page(request, "gallery.html", message=message, about=about, spoken_of=spoken_of)


def thanks(t: Texts, now: Standing) -> Markup:
    """Return the thanks for a report, with what is true of the picture as it stands."""
    key = "thanks" if now.key == "open" else f"thanks_{now.key}"
    return t.html(key, until=t.day(now.until) if now.until else "")


def taken_back(t: Texts, now: Standing) -> Markup:
    return t.html("taken_back_blocked" if now.state == "blocked" else "taken_back")


async def report_page(request: Request) -> Response:
    """Show the form on its own page, for browsers without scripts."""
    return _form(request, picture_of(request.path_params["picture"]))


def _form(
    request: Request, picture: Picture, *, status: int = 200, error: str = "", reason: str = ""
) -> Response:
    site = site_of(request)
    offered = site.standing(picture, reporter_id(visitor(request))).can_be_reported
    return site.page(
        request,
        "report.html",
        status=status,
        picture=picture,
        error=error,
        reason=reason or request.query_params.get("reason", ""),
        here=f"/report/{picture.id}",
        keeps="report" if offered else "",
    )


async def report(request: Request) -> Response:
    """Publish a report, and thank after the broker has confirmed it.

    The answer reveals nothing of other people's reports. A second click sends nothing.
    """
    site, picture, fields = site_of(request), picture_of(request.path_params["picture"]), await form(request)
    reason = fields.get("reason", "")
    if reason not in REASONS:
        raise HTTPException(400)
    secret, group = visitor(request), None
    me = reporter_id(secret)
    if site.settings.network_key and request.client:
        group = network_group(request.client.host, site.settings.network_key)
    async with site.one_by_one(me, picture.id):
        before, last, now = site.standing(picture, me), site.marks.report(me, picture.id), site.now()
        second_click = last is not None and last.reason == reason and now - last.at < REPEAT
        if second_click:
            before = replace(before, reported=False)
        else:
            event = report_event(
                event_id=str(uuid4()),
                image_id=picture.id,
                reporter_id=me,
                reason=reason,
                at=now,
                reporter_group=group,
            )
            if not await _sent(site, event, now):
                return _not_sent(request, picture, "not_sent", reason)
    query = {"reported": picture.id} | ({"again": "1"} if before.reported else {})
    return _confirmed(request, picture, thanks(site.texts_for(request), before), before, query)


async def take_back(request: Request) -> Response:
    """Publish the retraction of the visitor's report. Without such a report there is nothing to send."""
    site, picture = site_of(request), picture_of(request.path_params["picture"])
    await form(request)
    me = reporter_id(visitor(request))
    async with site.one_by_one(me, picture.id):
        if last := site.marks.report(me, picture.id):
            now = max(site.now(), last.at)  # a clock that was set back must not make it the older one
            event = retraction_event(event_id=str(uuid4()), image_id=picture.id, reporter_id=me, at=now)
            if not await _sent(site, event, now):
                return _not_sent(request, picture, "not_taken_back")
    after = site.standing(picture, me)
    message = taken_back(site.texts_for(request), after)
    return _confirmed(request, picture, message, after, {"taken": picture.id})


async def _sent(site: Site, event: bytes, at: datetime) -> bool:
    """Send a visitor's report or retraction, and mark it at once; return whether the broker confirmed it."""
    try:
        await send_own_report(site.client, event, site.settings.rules.window)
    except NotSent:
        return False
    site.learn(parse(event, at))
    return True


def _confirmed(
    request: Request, picture: Picture, message: Markup, now: Standing, query: Mapping[str, str]
) -> Response:
    """Answer a script with the message about the picture as it stands `now`, a plain form with its page."""
    site = site_of(request)
    answer: Response = RedirectResponse(f"/?{urlencode(query)}#card-{picture.id}", 303)
    if wants_json(request):
        notice = site.notice(site.texts_for(request), message, picture, now.shown_as)
        answer = JSONResponse({"notice": notice}, 202)
    remember(request, answer)
    return answer


def _not_sent(request: Request, picture: Picture, key: str, reason: str = "") -> Response:
    error = site_of(request).texts_for(request)(key)
    if wants_json(request):
        return JSONResponse({"error": error}, 503)
    return _form(request, picture, status=503, error=error, reason=reason)


async def image(request: Request) -> Response:
    """Return a picture, or 410 for a blocked one, even if its address is known."""
    picture = picture_of(request.path_params["picture"])
    if site_of(request).exhibition.blocked(picture.id):
        raise HTTPException(410, headers={"cache-control": "no-store"})
    # Never cached: a cached copy would stay visible after the block.
    return Response(picture.svg, media_type="image/svg+xml", headers={"cache-control": "no-store"})


async def events(request: Request) -> Response:
    """Stream the state of each picture, then each change, as server-sent events."""
    site = site_of(request)
    answer = stream(_cards(site, site.texts_for(request), reporter_id(visitor(request))))
    remember(request, answer)
    return answer


async def _cards(site: Site, t: Texts, me: str) -> AsyncIterator[JSONServerSentEvent]:
    """Give the state of every picture first, so that a page misses no change since it was loaded."""
    with site.news.subscribe() as news:
        for picture in PICTURES.values():
            yield JSONServerSentEvent(site.card(picture, t, me), event="card")
        while True:
            event = await news.get()
            if not isinstance(event, Report) or event.reporter_id == me:
                yield JSONServerSentEvent(site.card(PICTURES[event.image_id], t, me), event="card")


ROUTES = [
    Route("/", gallery),
    Route("/report/{picture}", report_page, methods=["GET"]),
    Route("/report/{picture}", report, methods=["POST"]),
    Route("/report/{picture}/back", take_back, methods=["POST"]),
    Route("/images/{picture}.svg", image),
    Route("/events", events),
]
