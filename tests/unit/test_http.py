"""The HTTP server, as probes, scrapers and strangers meet it."""

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_moderation.domain.policy import Policy
from image_moderation.telemetry import server as server_module
from image_moderation.telemetry.health import Health
from image_moderation.telemetry.http import http_app
from image_moderation.telemetry.metrics import Metrics
from image_moderation.telemetry.server import CannotListen, HttpServer
from tests.support.waiting import wait_until_async

PATHS = ("/livez", "/readyz", "/metrics", "/asyncapi")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3", policy=Policy())


@pytest.fixture
async def server(metrics: Metrics) -> AsyncIterator[HttpServer]:
    app = http_app(metrics, Health(()), lambda: b"{}", allowed=["metrics.example", "*.pods"])
    started = HttpServer(app, "127.0.0.1", 0)
    await started.start()
    yield started
    await started.stop()


async def fetch(url: str, method: str = "GET", accept: str = "*/*") -> tuple[int, dict[str, str], bytes]:
    def call() -> tuple[int, dict[str, str], bytes]:
        request = Request(url, method=method, headers={"Accept": accept})
        try:
            with urlopen(request, timeout=10) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    return await asyncio.to_thread(call)


async def test_the_server(metrics: Metrics) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    health = Health(("store",), on_ready=metrics.ready)
    server = HttpServer(http_app(metrics, health, lambda: b'{"asyncapi": "3.0.0"}'), "127.0.0.1", 0)
    await server.start()
    try:
        assert signal.getsignal(signal.SIGTERM) is handler
        assert server.port > 0
        at = f"http://127.0.0.1:{server.port}"
        assert (await fetch(f"{at}/livez"))[::2] == (200, b'{"status":"ok"}')
        status, headers, body = await fetch(f"{at}/readyz")
        assert (status, headers["content-type"], headers["cache-control"]) == (
            503,
            "application/json",
            "no-store",
        )
        assert json.loads(body) == {"status": "unavailable", "checks": {"store": "starting"}}
        health.set("store", True)
        assert json.loads((await fetch(f"{at}/readyz"))[2]) == {"status": "ok", "checks": {"store": "ok"}}
        assert b"moderation_ready 1.0\n" in (await fetch(f"{at}/metrics?name=x"))[2]
        openmetrics = await fetch(f"{at}/metrics", accept="application/openmetrics-text; version=1.0.0")
        assert openmetrics[2].endswith(b"# EOF\n")
        assert (await fetch(f"{at}/asyncapi"))[2] == b'{"asyncapi": "3.0.0"}'
        status, headers, body = await fetch(f"{at}/asyncapi", "HEAD")
        assert (status, headers["content-length"], body) == (200, "21", b"")
        status, headers, _ = await fetch(f"{at}/livez", "POST")
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        for path in ("/", "/livez/", "/docs"):
            status, headers, body = await fetch(f"{at}{path}")
            assert (status, headers["content-type"]) == (404, "application/json")
            assert json.loads(body)["error"] == "not found"
    finally:
        await server.stop()
    await server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_a_taken_port_is_an_error_and_ends_no_process(metrics: Metrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = HttpServer(http_app(metrics, Health(), lambda: b"{}"), "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(
            CannotListen, match=r"Address already in use; set MODERATION_HTTP_PORT to another"
        ):
            await server.start()
        await server.stop()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_that_is_not_this_machines(metrics: Metrics, host: str) -> None:
    server = HttpServer(http_app(metrics, Health(), lambda: b"{}"), host, 0)
    with pytest.raises(CannotListen, match=rf"can't listen on {host}:0: .*; set MODERATION_HTTP_HOST"):
        await server.start()


async def test_an_idle_client_does_not_hold_up_the_stop(metrics: Metrics) -> None:
    server = HttpServer(http_app(metrics, Health(), lambda: b"{}"), "127.0.0.1", 0)
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /livez HTTP/1.1\r\n")
    await writer.drain()
    async with asyncio.timeout(5):
        await server.stop()
    writer.close()


# --- strangers


async def send(port: int, request: bytes) -> int:
    """Send bytes and the end of the stream; return the status of the first answer, or 0 without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        writer.write_eof()
        async with asyncio.timeout(5):
            line = await reader.readline()
    except ConnectionError:
        return 0
    finally:
        writer.close()
    return int(line.split()[1]) if line else 0


_numbers = st.sampled_from(["abc", "1.0.0", "0.0.4", "", "1", "\u00b2", "9" * 5_000, "1.x", "-1", "2.0.0"])
_accepts = st.lists(
    st.builds(
        lambda kind, version, more: f"{kind};version={version}{more}",
        st.sampled_from(["application/openmetrics-text", "text/plain", "*/*", ""]),
        _numbers | st.text("0123456789.;=, ", max_size=8),
        st.sampled_from(["", ";escaping=allow-utf-8", ";escaping=", ";version=", ";q=0.5", ",", ";;"]),
    ),
    max_size=3,
).map(",".join)


@given(_accepts | st.text(st.characters(max_codepoint=255)))
@settings(max_examples=300, deadline=None)
def test_any_accept_header_gets_the_metrics(accept: str) -> None:
    body, content_type = Metrics(version="1", policy=Policy()).render(accept)
    assert b"moderation_ready 0.0\n" in body
    assert content_type.isprintable()


_tokens = st.text("!#$%&'*+-.^_`|~0123456789abcxyzHGET", min_size=1, max_size=12)
_values = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
_names = st.sampled_from(
    ["Accept", "Connection", "Upgrade", "Expect", "Content-Length", "Transfer-Encoding", "Range", "Cookie"]
)
_requests = st.builds(
    lambda method, path, query, headers: "\r\n".join(
        [f"{method} {path}{query} HTTP/1.1", "Host: localhost", *(f"{n}: {v}" for n, v in headers), "", ""]
    ).encode("latin-1"),
    st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "CONNECT", "TRACE"]) | _tokens,
    st.sampled_from([*PATHS, "*", "/%00", "/%ff", "//", "http://other.example/livez"]) | _values,
    st.sampled_from(["", "?", "?name[]=x", "?%"]) | _values.map("?{}".format),
    st.lists(
        st.tuples(
            _names | _tokens, _accepts.filter(str.isprintable) | _values | st.just("websocket, upgrade")
        ),
        max_size=4,
    ),
)


def test_any_request_gets_an_answer_that_is_no_fault_of_the_server(metrics: Metrics) -> None:
    answers: set[int] = set()

    async def ask_all() -> None:
        server = HttpServer(http_app(metrics, Health(()), lambda: b"{}"), "127.0.0.1", 0)
        await server.start()

        @given(st.lists(_requests | st.binary(min_size=1, max_size=60), min_size=20, max_size=20))
        @settings(max_examples=25, deadline=None)
        def collect(requests: list[bytes]) -> None:
            async def statuses() -> list[int]:
                return [await send(server.port, request) for request in requests]

            got = asyncio.run_coroutine_threadsafe(statuses(), loop).result(60)
            for request, status in zip(requests, got, strict=True):
                assert status == 200 or 400 <= status < 500 or is_unfinished(request, status), (
                    status,
                    request,
                )
            answers.update(got)

        loop = asyncio.get_running_loop()
        await asyncio.to_thread(collect)
        await server.stop()

    asyncio.run(ask_all())
    assert {200, 400, 404, 405} <= answers


def is_unfinished(request: bytes, status: int) -> bool:
    """Whether no answer was due: the end came before the request's own."""
    return status == 0 and b"\r\n\r\n" not in request


async def test_only_a_known_host_is_answered(server: HttpServer) -> None:
    expected = {
        "127.0.0.1:8080": 200,
        "10.1.2.3:8080": 200,  # what a probe and a scrape of Kubernetes send
        "[::1]:8080": 200,
        "[fe80::1]": 200,
        "LocalHost": 200,
        "a.localhost:1": 200,
        "metrics.example.:8080": 200,
        "one.pods": 200,
        "attacker.example": 421,
        "localhost.attacker.example": 421,
        "metrics.example.attacker.example:8080": 421,
        "pods": 421,
        "127.0.0.1.attacker.example": 421,
        "[attacker.example]": 421,
        "user@localhost": 421,
        "": 421,
    }
    for host, status in expected.items():
        for path in PATHS:
            request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            assert await send(server.port, request) == status, (host, path)


async def test_a_request_of_http_1_0_needs_no_host(server: HttpServer) -> None:
    assert await send(server.port, b"GET /livez HTTP/1.0\r\n\r\n") == 200


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n",
    ],
)
async def test_a_request_that_is_never_finished_is_closed(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(server_module, "REQUEST_TIMEOUT", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(start)

    async def drip() -> None:
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.02)

    dripping = asyncio.create_task(drip())
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            await reader.read()
    dripping.cancel()
    writer.close()


async def test_a_client_that_does_not_read_is_closed(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "REQUEST_TIMEOUT", 0.3)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
    # The answers fill every buffer on the way.
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5_000)
    connections = server._server.server_state.connections
    await wait_until_async(lambda: connections, "it is open")
    await wait_until_async(lambda: not connections, "it is closed")
    writer.close()


async def test_many_open_connections_do_not_keep_a_probe_out(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 5)
    held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(8)]
    assert await send(server.port, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200
    ended = [asyncio.create_task(reader.read()) for reader, _ in held]
    await wait_until_async(lambda: sum(one.done() for one in ended) >= 4, "the oldest are closed")
    assert not ended[-1].done()
    for task, (_, writer) in zip(ended, held, strict=True):
        task.cancel()
        writer.close()
    await asyncio.gather(*ended, return_exceptions=True)
