"""The real service as its own process, started with an environment."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from tests.support.waiting import wait_until

T = TypeVar("T")
ROOT = Path(__file__).parents[2]


class ServiceProcess:
    """`python -m image_moderation serve`, as a context manager.

    `start` returns once the service is ready, or with `wait="http"` once its HTTP side answers, or with
    `wait=""` at once. The variables of `env` are set over this process's, of which no MODERATION_* is
    passed on; one that is None is unset. It takes a free HTTP port. Not to be used from several threads.
    """

    def __init__(
        self,
        tmp_path: Path,
        env: Mapping[str, str | None],
        *,
        program: Sequence[str] = (sys.executable, "-m"),
        module: str = "image_moderation",
        arguments: Sequence[str] = ("serve",),
        wait: str = "ready",
        timeout: float = 20.0,
        name: str = "service",
    ) -> None:
        """`tmp_path` takes the log file; `name` distinguishes several processes of one test."""
        self.log_path = tmp_path / f"{name}.log"
        self.command = [*program, module, *arguments]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MODERATION_")}
        own = {"MODERATION_HTTP_PORT": "0", "MODERATION_LOG_FORMAT": "json", **env}
        self.env = inherited | {key: value for key, value in own.items() if value is not None}
        self._wait = wait
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def start(self) -> Self:
        """Start the process, or start it again; the log continues in the same file."""
        assert not self.running, "the service runs already"
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            if self._wait:
                self.wait_for_event("http_started")
            if self._wait == "ready":
                self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the service has not been started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        return self.process.poll()

    @property
    def log(self) -> str:
        """The log since the last start."""
        return self.log_path.read_bytes()[self._log_start :].decode(errors="backslashreplace")

    def events(self) -> list[dict[str, Any]]:
        """Return the complete log lines since the last start that are JSON objects."""
        found = []
        for line in self.log.rpartition("\n")[0].splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    found.append(entry)
        return found

    @property
    def url(self) -> str:
        """The HTTP address, as `http://127.0.0.1:<port>`."""
        return str(self.wait_for_event("http_started")["url"])

    def get(self, path: str) -> tuple[int, str]:
        """Return status and text of an HTTP answer, or (0, the error) without one."""
        try:
            with urlopen(f"{self.url}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (URLError, OSError) as error:
            return 0, str(error)

    def wait_for_event(self, event: str) -> dict[str, Any]:
        """Wait for the first log line with this event since the last start, and return it."""

        def find() -> dict[str, Any]:
            running = self.running  # checked first, because the last lines may come just before the end
            found = next((entry for entry in self.events() if entry.get("event") == event), None)
            assert found or running, f"ended with {self.returncode} before {event!r}:\n{self.log}"
            return found or {}

        return self._until(find, f"the log line {event!r}")

    def wait_ready(self, *, ready: bool = True) -> None:
        """Wait until /readyz answers 200, or with `ready=False` until it answers 503."""

        def answers() -> bool:
            assert self.running, f"ended with {self.returncode}:\n{self.log}"
            return self.get("/readyz")[0] == (200 if ready else 503)

        self._until(answers, "ready" if ready else "not ready")

    def terminate(self) -> None:
        """Send SIGTERM; `wait` returns the exit code."""
        self.process.terminate()

    def kill(self) -> int:
        """Send SIGKILL, like a crash; return the exit code."""
        self.process.kill()
        return self.wait()

    def suspend(self) -> None:
        """Send SIGSTOP: the process hangs until `resume`."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code. Raises AssertionError with the log on a timeout."""
        timeout = timeout or self._timeout
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s:\n{self.log}") from None

    def stop(self) -> None:
        """Stop the process if it runs: SIGTERM, then SIGKILL. May be repeated."""
        if not self.running:
            return
        self.resume()
        self.terminate()
        try:
            self.process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def _until(self, predicate: Callable[[], T], description: str) -> T:
        try:
            return wait_until(predicate, description, self._timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None
