"""Runs a server on a Unix socket in a directory of its own, with an append-only file and an exclusive lock.

Imports the standard library and redis alone.
"""

import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from image_moderation.embedded.engine import EmbeddedError, Engine, PortTaken, default_data_dir, find_engine

_HOST = "127.0.0.1"
# sun_path holds 108 bytes on Linux and 104 on macOS.
_SOCKET_PATH_LIMIT = 100
# The server of a killed parent needs a moment to write its file and end; an immediate restart waits for that.
_LOCK_TIMEOUT = 1.5  # seconds
_START_TIMEOUT = 30.0  # seconds without an answer; "loading" is an answer

# Asks Linux to end this process with its parent, then becomes the server. It is a program of its own, because
# a preexec_fn is unsafe in a parent with threads. The parent may have ended before the request is made.
_END_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, ctypes.c_ulong(15), 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedRedis:
    """One server on one data directory, as a synchronous context manager.

    Start it from the main thread: Linux ends the server with the *thread* that started it, so a start from
    another thread doesn't ask for that at all. A server that outlives its parent keeps the lock. Ctrl-C in a
    terminal doesn't reach it. `port` opens 127.0.0.1 as well, without a password: for trials and tests.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        engine: Engine | None = None,
        appendfsync: str = "everysec",
        port: int = 0,
    ) -> None:
        self.engine = engine or find_engine()
        self.data_dir = (data_dir or default_data_dir(self.engine)).absolute()
        self.port = port
        self._appendfsync = appendfsync
        self._log_path = self.data_dir / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._socket_dir: Path | None = None

    @property
    def socket_path(self) -> Path:
        if self._socket_dir is None:
            raise EmbeddedError("the private server has not been started")
        return self._socket_dir / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket_path))}"

    @property
    def tcp_url(self) -> str:
        if not self.port:
            raise EmbeddedError("the private server has no TCP port")
        return f"redis://{_HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Check that the server runs.

        Raises:
            EmbeddedError: it doesn't; with the end of its log.
        """
        if self._process is None:
            raise EmbeddedError("the private server has not been started")
        if (code := self._process.poll()) is not None:
            how = f"was ended by signal {-code}" if code < 0 else f"has ended with exit code {code}"
            raise EmbeddedError(f"the private {self.engine.name} server {how}{self._log_tail()}")

    def start(self) -> None:
        """Take the directory's lock, start the server and return once it answers.

        Raises:
            PortTaken: somebody else listens on `port`.
            EmbeddedError: the directory can't be used, or the server doesn't start.
        """
        if self._lock is not None:
            raise EmbeddedError("the private server has been started already")
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            self._check_engine()
            self._choose_socket_dir()
            self._launch()
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise EmbeddedError(f"can't start a server on {self.data_dir}: {error}") from error
            raise

    def stop(self, timeout: float = 10.0) -> None:
        """Stop the server (SIGKILL after `timeout` seconds) and release the lock. May be repeated."""
        self._end(timeout)
        if self._socket_dir is not None and self._socket_dir.parent != self.data_dir:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        self._socket_dir = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kill(self) -> None:
        """Stop the server with SIGKILL, like a crash. The lock stays, for `restart` or `stop`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Stop the server if it runs, and start it on the same data, socket and port."""
        self._end()
        self._launch()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _end(self, timeout: float = 10.0) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def _take_lock(self) -> None:
        self._lock = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.truncate(self._lock, 0)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    pid = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
                    who = f"a server still runs on it (pid {pid})" if pid else "another start is in progress"
                    hint = "stop that first, or use another directory"
                    raise EmbeddedError(f"data directory {self.data_dir} is in use: {who}; {hint}") from None
            time.sleep(0.05)

    def _check_engine(self) -> None:
        """Refuse data of another engine or a newer version, which might be opened as empty."""
        marker, ours = self.data_dir / "engine", f"{self.engine.name} {self.engine.version}"
        theirs = (marker.read_text().strip() if marker.exists() else "") or ours
        known = re.match(r"(\w+) (\d+)", theirs)
        if not known or known[1] != self.engine.name or int(known[2]) > self.engine.major:
            raise EmbeddedError(
                f"data directory {self.data_dir} was written by {theirs}, but the server found is {ours}: "
                "install that one, or use another directory"
            )
        marker.write_text(f"{ours}\n")

    def _choose_socket_dir(self) -> None:
        self._socket_dir = self.data_dir / "run"
        if len(os.fsencode(self.socket_path)) <= _SOCKET_PATH_LIMIT:
            self._socket_dir.mkdir(exist_ok=True)
            self._socket_dir.chmod(0o700)
        else:
            self._socket_dir = Path(tempfile.mkdtemp(prefix="image-moderation-"))

    def _check_port(self) -> None:
        """Refuse a taken port in words; the server would only end with its own."""
        if not self.port:
            return
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            try:
                probe.bind((_HOST, self.port))
            except OSError as error:
                why = os.strerror(error.errno or 0)
                raise PortTaken(f"can't listen on {_HOST}:{self.port}: {why}") from None

    def _launch(self) -> None:
        if self._lock is None:
            raise EmbeddedError("the private server has not been started")
        self._check_port()
        options = {
            "port": str(self.port),
            "bind": _HOST,
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        command = [str(self.engine.path)]
        for name, value in options.items():
            command += [f"--{name}", value]
        if sys.platform == "linux" and threading.current_thread() is threading.main_thread():
            command = [sys.executable, "-ISB", "-c", _END_WITH_PARENT, str(os.getpid()), *command]
        with self._log_path.open("wb") as log:
            # The server inherits the lock's descriptor, so the directory stays locked while the server runs.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data_dir,
                start_new_session=True,
                pass_fds=(self._lock,),
                umask=0o077,
            )
        os.pwrite(self._lock, f"{self._process.pid:<31}\n".encode(), 0)
        self._await_answer()

    def _await_answer(self) -> None:
        address, once = str(self.socket_path), Retry(NoBackoff(), 0)
        deadline = time.monotonic() + _START_TIMEOUT
        with redis.Redis(unix_socket_path=address, socket_timeout=1.0, retry=once) as client:
            while time.monotonic() < deadline:
                try:
                    client.ping()
                    return
                except redis.BusyLoadingError:  # however long its file takes
                    deadline = time.monotonic() + _START_TIMEOUT
                except (redis.ConnectionError, redis.TimeoutError):
                    self.check()
                time.sleep(0.01)
        raise EmbeddedError(f"no answer from the {self.engine.name} server in time{self._log_tail()}")

    def _log_tail(self) -> str:
        """Return the last lines of its log on one line, or nothing."""
        with suppress(OSError):
            lines = self._log_path.read_text(errors="replace").split("\n")
            return ": " + " | ".join([line.strip() for line in lines if line.strip()][-3:])
        return ""
