"""The readers' pages: the gallery, the report form, the pictures, and live updates of blocks.

Readers see no counts, which would invite gaming.
Imports starlette, sse-starlette and the site's modules.
"""

from collections.abc import AsyncIterator
from uuid import uuid4

from sse_starlette import JSONServerSentEvent
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from examples.gallery.broker import NotSent, send_reports
from examples.gallery.events import report_event
from examples.gallery.guard import form
from examples.gallery.pictures import PICTURES, Picture
from examples.gallery.site import REASONS, Site, site_of, wants_json
from examples.gallery.streams import stream
from examples.gallery.texts import Texts
from examples.gallery.visitors import network_group, remember, reporter_id, visitor


def picture_of(picture_id: str) -> Picture:
    if picture := PICTURES.get(picture_id):
        return picture
    raise HTTPException(404)


async def gallery(request: Request) -> Response:
    """Show the gallery. With `?reported=…` it thanks for a report that was sent without a script."""
    t = site_of(request).texts_for(request)
    thanks = t("thanks") if request.query_params.get("reported") in PICTURES else ""
    return site_of(request).page(request, "gallery.html", message=thanks)


async def report_page(request: Request) -> Response:
    """Show the form on its own page, for browsers without scripts."""
    return site_of(request).page(request, "report.html", picture=picture_of(request.path_params["picture"]))


async def report(request: Request) -> Response:
    """Publish a report, and thank after the broker has confirmed it.

    A second report gets the same thanks, so the answer doesn't reveal what is already known.
    """
    site, picture, fields = site_of(request), picture_of(request.path_params["picture"]), await form(request)
    reason = fields.get("reason")
    if reason not in REASONS:
        raise HTTPException(400)
    secret, group = visitor(request), None
    if site.settings.network_key and request.client:
        group = network_group(request.client.host, site.settings.network_key)
    event = report_event(
        event_id=str(uuid4()),
        image_id=picture.id,
        reporter_id=reporter_id(secret),
        reason=reason,
        at=site.now(),
        reporter_group=group,
    )
    try:
        await send_reports(site.client, [event])
    except NotSent:
        return _not_sent(request, picture)
    t = site.texts_for(request)
    answer: Response = (
        JSONResponse({"message": t("thanks")}, 202)
        if wants_json(request)
        else RedirectResponse(f"/?reported={picture.id}#status", 303)
    )
    remember(request, answer)
    return answer


def _not_sent(request: Request, picture: Picture) -> Response:
    site = site_of(request)
    error = site.texts_for(request)("not_sent")
    if wants_json(request):
        return JSONResponse({"error": error}, 503)
    return site.page(request, "report.html", status=503, picture=picture, error=error)


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
    return stream(_cards(site, site.texts_for(request)))


async def _cards(site: Site, t: Texts) -> AsyncIterator[JSONServerSentEvent]:
    """Give the state of every picture first, so that a page misses no change since it was loaded."""
    with site.news.subscribe() as news:
        for picture in PICTURES.values():
            yield JSONServerSentEvent(site.card(picture, t), event="card")
        while True:
            event = await news.get()
            yield JSONServerSentEvent(site.card(PICTURES[event.image_id], t), event="card")


ROUTES = [
    Route("/", gallery),
    Route("/report/{picture}", report_page, methods=["GET"]),
    Route("/report/{picture}", report, methods=["POST"]),
    Route("/images/{picture}.svg", image),
    Route("/events", events),
]
