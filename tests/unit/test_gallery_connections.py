"""The gallery's HTTP connections: a request that never ends is cut off, and an open page is not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from examples.gallery.connections import Connection
from tests.support.waiting import wait_until_async

LIMIT = 0.4


class Hurried(Connection):
    request_seconds = LIMIT


async def read(request: Request) -> Response:
    return PlainTextResponse(await request.body())


async def live(_: Request) -> Response:
    async def ticks() -> AsyncIterator[bytes]:
        for _ in range(4):
            await asyncio.sleep(LIMIT / 2)
            yield b"tick\n"

    return StreamingResponse(ticks())


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = Starlette(routes=[Route("/", read, methods=["GET", "POST"]), Route("/live", live)])
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=Hurried, lifespan="off", log_level="warning", timeout_keep_alive=30)
    )
    serving = asyncio.create_task(server.serve())
    await wait_until_async(lambda: server.started, "started")
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nreason",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT",  # the second on one connection
    ],
)
async def test_a_request_that_never_ends_is_cut_off(port: int, begun: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    if begun.endswith(b"GET / HT"):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"T")
    async with asyncio.timeout(LIMIT + 5):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()


async def test_an_answer_may_take_longer_than_a_request(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(20):
        assert (await reader.read()).count(b"tick") == 4
    writer.close()
