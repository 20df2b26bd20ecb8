"""The real service as a process of its own, started from an environment and stopped by its handle."""

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

from tests.support.servers import wait_until

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
        module: str = "image_moderation",
        arguments: Sequence[str] = ("serve",),
        wait: str = "ready",
        timeout: float = 20.0,
        name: str = "service",
    ) -> None:
        """`tmp_path` takes the log file; `name` tells several of one test apart. `module` is what runs."""
        self.log_path = tmp_path / f"{name}.log"
        self.command = [sys.executable, "-m", module, *arguments]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("MODERATION_")}
        own = {"MODERATION_HTTP_PORT": "0", "MODERATION_LOG_FORMAT": "json", **env}
        self.env = inherited | {key: value for key, value in own.items() if value is not None}
        self._wait = wait
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def start(self) -> Self:
        """Starts it, also again after its end; the log goes on in the same file."""
        assert not self.running, "the service runs already"
        with self.log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            if self._wait:
                self.wait_for_event("http is up")
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
        """Everything it has written since its last start."""
        return self.log_path.read_bytes()[self._log_start :].decode(errors="backslashreplace")

    def events(self) -> list[dict[str, Any]]:
        """The log lines since its last start that are JSON objects, whole lines only."""
        found = []
        for line in self.log.rpartition("\n")[0].splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    found.append(entry)
        return found

    @property
    def url(self) -> str:
        """The HTTP side, as `http://127.0.0.1:<port>`."""
        return str(self.wait_for_event("http is up")["url"])

    def get(self, path: str) -> tuple[int, str]:
        """The status and text of an HTTP answer; (0, what went wrong) without one."""
        try:
            with urlopen(f"{self.url}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (URLError, OSError) as error:
            return 0, str(error)

    def wait_for_event(self, event: str) -> dict[str, Any]:
        """The first log line since its last start with that event, once it is there."""

        def find() -> dict[str, Any]:
            running = self.running  # asked first: its last lines may come just before its end
            found = next((entry for entry in self.events() if entry.get("event") == event), None)
            assert found or running, f"ended with {self.returncode} before {event!r}:\n{self.log}"
            return found or {}

        return self._until(find, f"the log line {event!r}")

    def wait_ready(self, *, ready: bool = True) -> None:
        """Until /readyz answers 200, or with `ready=False` until it answers 503."""

        def answers() -> bool:
            assert self.running, f"ended with {self.returncode}:\n{self.log}"
            return self.get("/readyz")[0] == (200 if ready else 503)

        self._until(answers, "ready" if ready else "not ready")

    def terminate(self) -> None:
        """SIGTERM; `wait` gives the exit code."""
        self.process.terminate()

    def kill(self) -> int:
        """SIGKILL, as a crash would; returns the exit code."""
        self.process.kill()
        return self.wait()

    def suspend(self) -> None:
        """SIGSTOP: it hangs until `resume`."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended; AssertionError with its log if it doesn't in time."""
        timeout = timeout or self._timeout
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s:\n{self.log}") from None

    def stop(self) -> None:
        """Ends it if it runs: SIGTERM, then SIGKILL. May be repeated."""
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
