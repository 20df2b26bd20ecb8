"""The moderators' page: pictures that wait for a review, blocked pictures, and verdicts.

A real site requires a login for it. Imports starlette, sse-starlette and the site's modules.
"""

from collections.abc import AsyncIterator
from uuid import uuid4

from sse_starlette import JSONServerSentEvent
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from examples.gallery.broker import NotSent, send_verdict
from examples.gallery.events import verdict_event
from examples.gallery.guard import form
from examples.gallery.pictures import PICTURES
from examples.gallery.reader import picture_of
from examples.gallery.site import Site, site_of, wants_json
from examples.gallery.streams import stream
from examples.gallery.texts import Texts

VERDICTS = ("upheld", "cleared")


async def desk(request: Request) -> Response:
    """Show the page. With `?said=…&picture=…` it confirms a verdict that was sent without a script."""
    site, query = site_of(request), request.query_params
    said, picture = query.get("said", ""), PICTURES.get(query.get("picture", ""))
    message = _confirmation(site.texts_for(request), said, picture.id) if said in VERDICTS and picture else ""
    return site.page(request, "moderation.html", message=message)


async def verdict(request: Request) -> Response:
    site, picture, fields = site_of(request), picture_of(request.path_params["picture"]), await form(request)
    said = fields.get("verdict", "")
    if said not in VERDICTS:
        raise HTTPException(400)
    t = site.texts_for(request)
    try:
        await publish(site, picture.id, cleared=said == "cleared")
    except NotSent:
        error = t("verdict_not_sent")
        if wants_json(request):
            return JSONResponse({"error": error}, 503)
        return site.page(request, "moderation.html", status=503, error=error)
    if wants_json(request):
        return JSONResponse({"message": _confirmation(t, said, picture.id)}, 202)
    return RedirectResponse(f"/moderation?said={said}&picture={picture.id}#status", 303)


async def publish(site: Site, picture_id: str, *, cleared: bool) -> None:
    """Publish a verdict. Raises NotSent."""
    event = verdict_event(event_id=str(uuid4()), image_id=picture_id, cleared=cleared, at=site.now())
    await send_verdict(site.client, event)


def _confirmation(t: Texts, said: str, picture_id: str) -> str:
    return t(f"verdict_{said}_sent", title=PICTURES[picture_id].titles[t.language])


async def image(request: Request) -> Response:
    """Return a picture, even a blocked one: a moderator must see it to review it."""
    picture = picture_of(request.path_params["picture"])
    return Response(picture.svg, media_type="image/svg+xml", headers={"cache-control": "no-store"})


async def events(request: Request) -> Response:
    site = site_of(request)
    return stream(_desks(site, site.texts_for(request)))


async def _desks(site: Site, t: Texts) -> AsyncIterator[JSONServerSentEvent]:
    """Give both lists whenever they change."""
    shown = ""
    with site.news.subscribe() as news:
        while True:
            html = site.render("desk.html", t)
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
