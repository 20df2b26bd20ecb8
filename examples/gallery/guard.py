"""Checks every request and adds the security headers to every response.

Imports the standard library and starlette.
"""

import asyncio
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FORM_BYTES = 4096
_FORM_SECONDS = 10.0
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: with it, browsers send the Origin `null` with a form.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class BadForm(Exception):
    """The request has no form that a page of this site sends."""


class Guard:
    """Refuses cross-site requests, and sets the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["method"] not in ("GET", "HEAD") and not from_this_site(Headers(scope=scope)):
            refused = PlainTextResponse("This request came from another site.\n", 403)
            await refused(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)


def from_this_site(headers: Headers) -> bool:
    """Return whether the browser's headers say that the request is from this site; False without them."""
    if site := headers.get("sec-fetch-site"):
        return site == "same-origin"
    host = headers.get("host", "")
    return bool(host) and headers.get("origin") in (f"http://{host}", f"https://{host}")


async def form(request: Request) -> dict[str, str]:
    """Return the fields of a small form. Raises BadForm."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise BadForm
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            body = await _body(request)
    except (TimeoutError, ClientDisconnect):
        raise BadForm from None
    try:
        return dict(parse_qsl(body.decode(), strict_parsing=True, max_num_fields=20, errors="strict"))
    except ValueError:
        raise BadForm from None


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _FORM_BYTES:
            raise BadForm
    return body
