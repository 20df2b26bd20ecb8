"""Builds the site: `build(settings)` returns the ASGI application. It connects when it starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from examples.gallery import brigade_page, moderation, reader
from examples.gallery.broker import Follower, connect
from examples.gallery.guard import BadForm, Guard
from examples.gallery.site import Settings, Site, site_of


def build(settings: Settings) -> Starlette:
    """Return the site. It doesn't start without the broker, because it must not show blocked pictures."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with connect(settings.redis_url) as client:
            site = Site(settings, client)
            follower = Follower(client, site.learn)
            await follower.catch_up()
            app.state.site = site
            follower.follow()
            yield
            await follower.stop()
            await site.close()

    return Starlette(
        routes=[
            *reader.ROUTES,
            *moderation.ROUTES,
            *brigade_page.ROUTES,
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        middleware=[
            # Protects against DNS rebinding: a foreign host name that resolves to this address is refused.
            Middleware(TrustedHostMiddleware, allowed_hosts=list(settings.hosts), www_redirect=False),
            Middleware(Guard),
        ],
        exception_handlers={HTTPException: _error, BadForm: _bad_form},
        lifespan=lifespan,
    )


async def _error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    key = {404: "not_found", 410: "blocked_why"}.get(status, "bad_form")
    site = site_of(request)
    page = site.page(request, "error.html", status=status, text=site.texts_for(request)(key))
    page.headers.update(headers or {})
    return page


async def _bad_form(request: Request, _: Exception) -> Response:
    return await _error(request, HTTPException(400))
