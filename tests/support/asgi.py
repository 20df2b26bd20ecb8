"""Sends requests to an ASGI application like a browser, without a socket."""

import asyncio
from collections.abc import Iterator

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message


class Answer:
    """The response of the application."""

    def __init__(self, messages: list[Message]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = Headers(raw=messages[0]["headers"])
        self.text = b"".join(message.get("body", b"") for message in messages[1:]).decode()


async def ask(
    app: ASGIApp, path: str, fields: str | None = None, *, host: str = "localhost", **headers: str
) -> Answer:
    """Send a GET, or with `fields` a POST of a form; underscores in header names become hyphens.

    With `fields` that end with "…" the visitor goes away before the form is complete.
    """
    leaves = fields is not None and fields.endswith("…")
    raw = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    if fields is not None:
        raw.setdefault("content-type", "application/x-www-form-urlencoded")
    scope = {
        "type": "http",
        "method": "GET" if fields is None else "POST",
        "scheme": "http",
        "server": (host, 80),
        "client": ("127.0.0.1", 1),
        "path": path.partition("?")[0],
        "query_string": path.partition("?")[2].encode(),
        "headers": [(name.encode(), value.encode()) for name, value in raw.items()],
    }
    messages: list[Message] = []

    request: Iterator[Message] = iter(
        [
            {"type": "http.request", "body": (fields or "").encode(), "more_body": leaves},
            *([{"type": "http.disconnect"}] if leaves else []),
        ]
    )

    async def receive() -> Message:
        for message in request:
            return message
        stays_connected: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await stays_connected

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return Answer(messages)
