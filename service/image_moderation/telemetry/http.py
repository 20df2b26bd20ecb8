"""The HTTP endpoints: a plain ASGI application for probes, scrapers and readers of the API document.

Paths are exact; answers are never cached. A request for a host name that is not this service's gets 421: so a
page of another site, whose name its owner lets point here (DNS rebinding), can't read the answers.
"""

import json
import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from ipaddress import ip_address
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
HINT = "MODERATION_HTTP_ALLOWED_HOSTS takes further host names of this service"
_HOST = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]*)?")


def http_app(
    metrics: Metrics, health: Health, asyncapi: Callable[[], bytes], allowed: Collection[str] = ()
) -> App:
    """Return the application. `asyncapi` gives the AsyncAPI document, JSON.

    `allowed` are host names that a request may be for, or with `*.` before a name every name below that one,
    in lower case; addresses and `localhost` always may.
    """

    def livez(_accept: str) -> Answer:
        return 200, JSON, b'{"status":"ok"}'

    def readyz(_accept: str) -> Answer:
        report = health.report()
        return (200 if report["status"] == "ok" else 503), JSON, _json(report)

    def scrape(accept: str) -> Answer:
        body, content_type = metrics.render(accept)
        return 200, content_type, body

    def document(_accept: str) -> Answer:
        return 200, JSON, asyncapi()

    routes = {"/livez": livez, "/readyz": readyz, "/metrics": scrape, "/asyncapi": document}

    async def app(scope: Message, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"only HTTP is spoken here, not {scope['type']}")
        route = routes.get(scope["path"])
        if not is_for(_header(scope, b"host"), allowed):
            answer: Answer = (421, JSON, _json({"error": "unknown host", "hint": HINT}))
        elif route is None:
            answer = (404, JSON, _json({"error": "not found", "paths": list(routes)}))
        elif scope["method"] not in ("GET", "HEAD"):
            answer = (405, JSON, _json({"error": "method not allowed", "methods": ["GET", "HEAD"]}))
        else:
            answer = route(_header(scope, b"accept") or "")
        await _send(send, answer, head=scope["method"] == "HEAD")

    return app


def is_for(host: str | None, allowed: Collection[str]) -> bool:
    """Return whether a request with this `Host` may be answered; for `allowed` see `http_app`.

    An address may: the attack needs a name. Without a `Host` it is HTTP/1.0, which no browser speaks.
    """
    if host is None:
        return True
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    try:
        return bool(ip_address(match["v6"] or match["name"]))
    except ValueError:
        name = (match["name"] or "").lower().removesuffix(".")
    return any(
        name == one or (one.startswith("*.") and name.endswith(one[1:]))
        for one in ("localhost", "*.localhost", *allowed)
    )


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _header(scope: Message, wanted: bytes) -> str | None:
    found = [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]
    return ",".join(found) if found else None


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
