"""The brigade page: its form and its log, both updated live.

Imports markupsafe, starlette, sse-starlette and the site's modules.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from markupsafe import Markup
from sse_starlette import JSONServerSentEvent, ServerSentEvent
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from examples.gallery import brigade
from examples.gallery.events import Event, Report
from examples.gallery.guard import form
from examples.gallery.journal import Entry, Journal, Said
from examples.gallery.pictures import PICTURES
from examples.gallery.reader import picture_of
from examples.gallery.site import Site, site_of, wants_json
from examples.gallery.streams import stream
from examples.gallery.texts import Texts
from examples.gallery.visitors import remember, reporter_id, visitor

_FIGURES = Path(__file__).parents[2] / "docs" / "policy.md"
_DIGITS = 18  # int() raises ValueError for thousands of them
_FIRST = {"picture": next(iter(PICTURES)), "accounts": "12", "origin": "own", "pace": "fast"}


async def page(request: Request) -> Response:
    """Show the page. The query preselects the form, as after an attack without a script."""
    return _page(request)


def _page(request: Request, *, status: int = 200, error: str = "") -> Response:
    site, t = site_of(request), site_of(request).texts_for(request)
    journal = site.journal(visitor(request))
    chosen = {name: request.query_params.get(name, value) for name, value in _FIRST.items()}
    return site.page(
        request,
        "brigade.html",
        status=status,
        error=error,
        chosen=chosen,
        most=brigade.MOST_ACCOUNTS,
        last=journal.last,
        here="/brigade",
        keeps="brigade",
        again=journal.last_attack,
        entries=[in_words(entry, t) for _, entry in reversed(journal.entries())],
        step=t.span(brigade.step(site)),
        window=t.span(site.settings.rules.window),
    )


async def attack(request: Request) -> Response:
    site, fields, secret = site_of(request), await form(request), visitor(request)
    chosen = {name: fields.get(name, "") for name in _FIRST}
    try:
        number = int(chosen["accounts"])
    except ValueError:
        raise HTTPException(400) from None
    known = chosen["origin"] in ("own", "shared") and chosen["pace"] in ("fast", "slow")
    if not known or not 1 <= number <= brigade.MOST_ACCOUNTS:
        raise HTTPException(400)
    plan = brigade.new_attack(
        picture_of(chosen["picture"]),
        secret,
        number=number,
        shared=chosen["origin"] == "shared",
        slow=chosen["pace"] == "slow",
    )
    journal = site.journal(secret)
    return await _answer(request, journal, chosen, brigade.run(site, journal, plan))


async def clear(request: Request) -> Response:
    site, fields = site_of(request), await form(request)
    chosen = {name: fields.get(name, value) for name, value in _FIRST.items()}
    picture, journal = picture_of(chosen["picture"]), site.journal(visitor(request))
    return await _answer(request, journal, chosen, brigade.clear(site, journal, picture))


async def _answer(
    request: Request, journal: Journal, chosen: Mapping[str, str], work: Coroutine[None, None, None]
) -> Response:
    """Start the work. Answer a script at once, since it follows the log, and a plain form at the end."""
    if journal.lock.locked():
        work.close()
        error = site_of(request).texts_for(request)("busy")
        return (
            JSONResponse({"error": error}, 409)
            if wants_json(request)
            else _page(request, status=409, error=error)
        )
    task = site_of(request).start(work)
    answer: Response = JSONResponse({}, 202)
    if not wants_json(request):
        await task
        answer = RedirectResponse(f"/brigade?{urlencode(chosen)}#log", 303)
    remember(request, answer)
    return answer


async def figures(_: Request) -> Response:
    """Show the page of figures, as the text that it is."""
    return FileResponse(_FIGURES, media_type="text/plain; charset=utf-8")


async def events(request: Request) -> Response:
    """Stream the visitor's log from the entry that the page shows last, and the pictures' states."""
    seen = request.headers.get("last-event-id") or request.query_params.get("seen", "0")
    if not seen.isascii() or not seen.isdecimal() or len(seen) > _DIGITS:
        raise HTTPException(400)
    site = site_of(request)
    journal, t, me = site.journal(visitor(request)), site.texts_for(request), reporter_id(visitor(request))
    answer = stream(_events(site, journal, t, me, int(seen)))
    remember(request, answer)
    return answer


async def _events(
    site: Site, journal: Journal, t: Texts, me: str, seen: int
) -> AsyncIterator[ServerSentEvent]:
    queue: asyncio.Queue[Event | tuple[int, Entry]] = asyncio.Queue()
    # One stream for both: browsers open at most six connections to a site, for all its open pages together.
    with site.news.listen(queue.put_nowait), journal.news.listen(queue.put_nowait):
        for picture in PICTURES.values():
            yield JSONServerSentEvent(site.card(picture, t, me), event="card")
        # The numbers begin at 1 again when a journal was dropped or the process was restarted.
        for numbered in journal.entries(seen if seen <= journal.last else 0):
            yield _entry(site, journal, t, *numbered)
        while True:
            item = await queue.get()
            if isinstance(item, tuple):
                yield _entry(site, journal, t, *item)
            elif not isinstance(item, Report):
                yield JSONServerSentEvent(site.card(PICTURES[item.image_id], t, me), event="card")


def _entry(site: Site, journal: Journal, t: Texts, number: int, entry: Entry) -> ServerSentEvent:
    data = {
        "html": site.render("entry.html", t, entry=in_words(entry, t)),
        "again": site.render("again.html", t, again=journal.last_attack),
    }
    return JSONServerSentEvent(data, event="entry", id=str(number))


def in_words(entry: Entry, t: Texts) -> Mapping[str, object]:
    """Return an entry as texts in the reader's language."""
    return {
        "at": t.moment(entry.at),
        "kind": entry.kind,
        "what": _say(entry.what, t),
        "why": [_say(said, t) for said in entry.why],
        "accounts": entry.accounts,
    }


def _say(said: Said, t: Texts) -> Markup:
    values: dict[str, object] = {}
    for name, value in said.values.items():
        if name == "picture":
            values["title"] = PICTURES[str(value)].titles[t.language]
        elif isinstance(value, timedelta):
            values[name] = t.span(value)
        elif isinstance(value, datetime):
            values[name] = t.day(value) if name in ("first", "last") else t.moment(value)
        else:
            values[name] = value
    return t.html(said.key, **values)


ROUTES = [
    Route("/brigade", page, methods=["GET"]),
    Route("/brigade", attack, methods=["POST"]),
    Route("/brigade/clear", clear, methods=["POST"]),
    Route("/brigade/figures", figures, methods=["GET"]),
    Route("/brigade/events", events),
]
