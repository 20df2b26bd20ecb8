"""The HTTP endpoints: a plain ASGI application for probes, scrapers and readers of the API document.

Paths are exact; answers are never cached.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from image_moderation.telemetry.health import Health
from image_moderation.telemetry.metrics import Metrics

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
Answer: TypeAlias = tuple[int, str, bytes]
"""Status, content type, body."""

JSON = "application/json"


def http_app(metrics: Metrics, health: Health, asyncapi: bytes) -> App:
    """Return the application. `asyncapi` is the AsyncAPI document, JSON, served unchanged."""

    def livez(_accept: str) -> Answer:
        return 200, JSON, b'{"status":"ok"}'

    def readyz(_accept: str) -> Answer:
        report = health.report()
        return (200 if report["status"] == "ok" else 503), JSON, _json(report)

    def scrape(accept: str) -> Answer:
        body, content_type = metrics.render(accept)
        return 200, content_type, body

    def document(_accept: str) -> Answer:
        return 200, JSON, asyncapi

    routes = {"/livez": livez, "/readyz": readyz, "/metrics": scrape, "/asyncapi": document}

    async def app(scope: Message, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"only HTTP is spoken here, not {scope['type']}")
        route = routes.get(scope["path"])
        if route is None:
            answer: Answer = (404, JSON, _json({"error": "not found", "paths": list(routes)}))
        elif scope["method"] not in ("GET", "HEAD"):
            answer = (405, JSON, _json({"error": "method not allowed", "methods": ["GET", "HEAD"]}))
        else:
            answer = route(_header(scope, b"accept"))
        await _send(send, answer, head=scope["method"] == "HEAD")

    return app


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _header(scope: Message, wanted: bytes) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)


async def _send(send: Send, answer: Answer, *, head: bool) -> None:
    status, content_type, body = answer
    headers = [
        (b"content-type", content_type.encode("latin-1")),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    if status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})
