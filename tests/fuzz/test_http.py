"""Random requests to the HTTP sides: the service's own, and the example site's (schemathesis).

There is no OpenAPI document of them, because neither is an API for programs; what is here says just enough.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from starlette.types import ASGIApp

from examples.gallery.app import build
from examples.gallery.pictures import PICTURES
from examples.gallery.site import REASONS, Settings
from image_moderation.domain.policy import Policy
from image_moderation.telemetry.health import Health
from image_moderation.telemetry.http import http_app
from image_moderation.telemetry.metrics import Metrics
from tests.support.servers import free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.soak
EXAMPLES = 40
Document = dict[str, Any]
HEADERS = [
    {"name": name, "in": "header", "schema": {"type": "string"}}
    for name in ("Accept", "Origin", "Sec-Fetch-Site", "Cookie", "Accept-Language", "X-Forwarded-For")
]


def operation(*statuses: int, form: Document | None = None, query: tuple[str, ...] = ()) -> Document:
    parameters = HEADERS + [{"name": name, "in": "query", "schema": {"type": "string"}} for name in query]
    found: Document = {
        "parameters": parameters,
        "responses": {str(status): {"description": "one of those that are meant"} for status in statuses},
    }
    if form is not None:
        schema = {"type": "object", "properties": form}
        found["requestBody"] = {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}
    return found


def document(paths: Document) -> Document:
    return {"openapi": "3.1.0", "info": {"title": "tests", "version": "1"}, "paths": paths}


def text(*values: str) -> Document:
    """Any text, and often one that is meant."""
    return {"anyOf": [{"enum": list(values)}, {"type": "string"}]}


SERVICE = document(
    {path: {"get": operation(200, 503), "post": operation(405)} for path in ("/livez", "/readyz", "/metrics")}
    | {"/asyncapi": {"get": operation(200), "delete": operation(405)}}
)
PICTURE = {"name": "id", "in": "path", "required": True, "schema": text(*PICTURES)}
REPORT, BACK = {"reason": text(*REASONS)}, {"back": {"type": "string"}}
ATTACK = {
    "picture": text(*PICTURES),
    "accounts": text("3", "-1", "99999999999"),
    "origin": text("own", "shared"),
    "pace": text("fast", "slow"),
}
SENT = (200, 303, 400, 403, 404, 410, 503)
SITE = document(
    {
        "/": {"get": operation(200, query=("lang", "reported", "taken", "again"))},
        "/moderation": {"get": operation(200, query=("lang",))},
        "/brigade": {"get": operation(200, query=("lang",)), "post": operation(*SENT, form=ATTACK)},
        "/images/{id}.svg": {"parameters": [PICTURE], "get": operation(200, 404, 410)},
        "/report/{id}": {
            "parameters": [PICTURE],
            "get": operation(200, 404, 410),
            "post": operation(*SENT, form=REPORT),
        },
        "/report/{id}/back": {"parameters": [PICTURE], "post": operation(*SENT, form=BACK)},
        "/moderation/verdicts/{id}": {
            "parameters": [PICTURE],
            "post": operation(*SENT, form={"verdict": text("upheld", "cleared")}),
        },
    }
)


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, "the server is up")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def send_random_requests(paths: Document, url: str, judge: Callable[[Any, Any], None]) -> None:
    import schemathesis  # takes a second, which every worker would spend

    schema = schemathesis.openapi.from_dict(paths)
    operations: Any = schema.get_all_operations()
    for found in operations:
        one = found.ok()

        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=one.as_strategy())
        def ask(case: Any) -> None:
            answer = case.call(base_url=url, allow_redirects=False)
            judge(case, answer)

        ask()


def test_the_services_own(capfd: pytest.CaptureFixture[str]) -> None:
    app: Any = http_app(Metrics(version="1", policy=Policy()), Health(("store",)), lambda: b"{}")

    def judge(case: Any, answer: Any) -> None:
        expected = {int(status) for status in case.operation.definition.raw["responses"]}
        assert answer.status_code in expected, (case.as_curl_command(), answer.status_code)
        assert answer.headers["cache-control"] == ["no-store"]

    with served(app) as url:
        send_random_requests(SERVICE, url, judge)
    assert "Traceback" not in capfd.readouterr().err


def test_the_example_site(redis_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    def judge(case: Any, answer: Any) -> None:
        expected = {int(status) for status in case.operation.definition.raw["responses"]}
        assert answer.status_code in expected, (case.as_curl_command(), answer.status_code)
        assert "default-src 'self'" in answer.headers["content-security-policy"][0]
        assert "Traceback" not in answer.text

    with served(build(Settings(redis_url))) as url:
        send_random_requests(SITE, url, judge)
    assert "Traceback" not in capfd.readouterr().err
