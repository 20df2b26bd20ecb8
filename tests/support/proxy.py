"""A TCP proxy that injects faults between a client and a real server.

It forwards bytes and knows no protocol, except that Redis' `-NOSCRIPT` means that a command was not applied
(see `drop_reply_once`). A mode lasts until the next one is set, for existing and new connections.
"""

import asyncio
import enum
import os
import re
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_HOST = "127.0.0.1"
_CHUNK = 1 << 16
# A reply may come in pieces; it is complete after this many seconds without data.
_QUIET = 0.02
# The first words of a command as Redis' clients send it.
_COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Za-z]+)\r\n(?:\$\d+\r\n([^\r]+)\r\n)?")

Target = str | os.PathLike[str] | tuple[str, int]


class Mode(enum.Enum):
    PASS = "pass"
    BLACKHOLE = "blackhole"
    RESET = "reset"
    REFUSE = "refuse"


@dataclass(eq=False)
class _Link:
    """A client's connection and the matching connection to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    tail: bytes = b""
    """The last bytes of the request, because a match may span two chunks."""
    trap: bytes | None = None
    """The match of this connection's request while its reply must be dropped."""


class FaultProxy:
    """Forwards connections on `host`:`port` to a Unix socket path or a (host, port).

    An async context manager. Port 0 takes a free port; the port stays the same in every mode.
    """

    def __init__(
        self, target: Target, *, port: int = 0, rewrite: Callable[[bytes, int], bytes] | None = None
    ) -> None:
        """`rewrite` is given each piece of a reply and this proxy's port, for a server that tells its own."""
        self.host = _HOST
        self.port = port
        self.accepted = 0
        """Connections accepted so far."""
        self.dropped_replies = 0
        """Replies that `drop_reply_once` has dropped so far."""
        self.cuts = 0
        """Connections that `cut_once` has reset so far."""
        self.commands: set[tuple[bytes, bytes]] = set()
        """Redis: the first two words of each command sent so far."""
        self._target = target
        self._rewrite = rewrite
        self._mode = Mode.PASS
        self._delay = 0.0
        self._match: bytes | None = None
        self._cut: tuple[str, int] | None = None
        self._open = {"requests": asyncio.Event(), "replies": asyncio.Event()}
        for way in self._open.values():
            way.set()
        self._server: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._clients)

    async def pass_through(self) -> None:
        """Forward everything at once; bytes that a blackhole held back arrive late, as on a real network."""
        await self._enter(Mode.PASS)

    async def delay(self, seconds: float) -> None:
        """Forward each chunk of a client with this delay."""
        await self._enter(Mode.PASS, delay=seconds)

    async def blackhole(self, *ways: str) -> None:
        """Accept connections and bytes, but forward no `requests`, no `replies`, or by default neither."""
        await self._enter(Mode.BLACKHOLE)
        for way in ways or self._open:
            self._open[way].clear()

    async def cut_once(self, way: str, after: int) -> None:
        """Forward everything, but after so many more bytes of `requests` or `replies` on any connections drop
        the rest of that piece, and reset its connection: it ends in the middle of a message.
        """
        await self._enter(Mode.PASS)
        self._cut = way, after

    async def reset(self) -> None:
        """Close every connection with RST, and each new one as soon as it is accepted."""
        await self._enter(Mode.RESET)
        await self._reset_all()

    async def refuse(self) -> None:
        """Stop listening, so that connecting is refused, and close every connection with RST."""
        await self._enter(Mode.REFUSE)
        self._stop_listening()
        self._held = self._held or self._bind()
        await self._reset_all()

    async def drop_reply_once(self, match: bytes) -> None:
        """Forward everything, but drop the reply to the next request that contains `match`.

        The request reaches the server. When the server has replied, the proxy drops the reply and resets the
        connection: the command was applied, but its sender can't know. A reply `-NOSCRIPT` is forwarded,
        because nothing was applied, and the next match is dropped instead. Use one request or one pipeline
        at a time on a connection: the proxy takes the first bytes after the match as its reply.
        """
        if not match:
            raise ValueError("an empty match would match every request")
        await self._enter(Mode.PASS)
        self._match = match

    def switch(self, target: Target) -> None:
        """Forward new connections to `target`; those that are open stay with the server that they have."""
        self._target = target

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_listening()
        if self._held is not None:
            self._held.close()
        await self._reset_all()

    async def _enter(self, mode: Mode, *, delay: float = 0.0) -> None:
        self._mode, self._delay, self._match, self._cut = mode, delay, None, None
        for way in self._open.values():
            way.set()
        if mode is not Mode.REFUSE:
            await self._listen()

    async def _listen(self) -> None:
        if self._server is None:
            held, self._held = self._held or self._bind(), None
            self._server = await asyncio.start_server(self._accept, sock=held)

    def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()  # wait_closed would also wait for the connections

    def _bind(self) -> socket.socket:
        """Bind without listening: connecting is refused, and no other program can take the port."""
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((self.host, self.port))
        self.port = bound.getsockname()[1]
        return bound

    async def _reset_all(self) -> None:
        for writer in list(self._clients):
            _reset(writer)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio runs this as a task of its own; keep it, so that closing can cancel and await it.
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._clients.add(writer)
        self.accepted += 1
        try:
            if self._mode in {Mode.RESET, Mode.REFUSE}:
                _reset(writer)
            else:
                await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            # A failure of one side closes the other; only this proxy cancels a relay.
            _reset(writer)
        finally:
            self._clients.discard(writer)
            self._tasks.discard(task)
            await _close(writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if isinstance(self._target, tuple):
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        else:
            server_reader, server_writer = await asyncio.open_unix_connection(self._target)
        link = _Link(client=writer, server=server_writer)
        pumps = {
            asyncio.create_task(self._requests(reader, link)),
            asyncio.create_task(self._replies(server_reader, link)),
        }
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in done:
                pump.result()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await _close(server_writer)

    async def _requests(self, reader: asyncio.StreamReader, link: _Link) -> None:
        while chunk := await reader.read(_CHUNK):
            if self._delay:
                await asyncio.sleep(self._delay)
            await self._open["requests"].wait()
            self.commands.update(_COMMAND.findall(chunk))
            if self._is_cut("requests", chunk, link):
                return
            if self._match is not None and self._match in link.tail + chunk:
                link.trap, self._match = self._match, None
            link.tail = (link.tail + chunk)[-_CHUNK:] if self._match else b""
            link.server.write(chunk)
            await link.server.drain()

    async def _replies(self, reader: asyncio.StreamReader, link: _Link) -> None:
        while chunk := await reader.read(_CHUNK):
            await self._open["replies"].wait()
            if self._rewrite is not None:
                chunk = self._rewrite(chunk, self.port)
            if self._is_cut("replies", chunk, link):
                return
            if link.trap is not None and chunk.startswith(b"-NOSCRIPT"):
                link.trap, self._match = None, link.trap
            elif link.trap is not None:
                with suppress(TimeoutError):
                    while await asyncio.wait_for(reader.read(_CHUNK), _QUIET):
                        pass
                self.dropped_replies += 1
                _reset(link.client)
                return
            link.client.write(chunk)
            await link.client.drain()

    def _is_cut(self, way: str, chunk: bytes, link: _Link) -> bool:
        """Forward the last bytes before the cut, and reset; or count what goes on."""
        if self._cut is None or self._cut[0] != way:
            return False
        left = self._cut[1] - len(chunk)
        if left > 0:
            self._cut = way, left
            return False
        (link.server if way == "requests" else link.client).write(chunk[: self._cut[1]])
        self._cut = None
        self.cuts += 1
        _reset(link.client)
        return True


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, which SO_LINGER with zero seconds does."""
    if not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
    writer.transport.abort()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
