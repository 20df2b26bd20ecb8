"""Starts the service as its own process, waits until it is ready, and stops it.

Imports only the standard library.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

_START_SECONDS = 30.0
_STOP_SECONDS = 30.0


class NotStarted(Exception):
    """The service didn't start. The message is one line and includes the last line of the service's log."""


@contextmanager
def service(variables: Mapping[str, str], log_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m image_moderation serve`, ready, with these MODERATION_* variables alone.

    Raises NotStarted.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODERATION_")}
    own = {"MODERATION_HTTP_PORT": "0", "MODERATION_LOG_FORMAT": "json"}
    with log_path.open("wb") as log:
        # Its own session: Ctrl-C in a terminal reaches only this starter, which then stops the service.
        process = subprocess.Popen(
            [sys.executable, "-m", "image_moderation", "serve"],
            env=inherited | own | dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await_ready(process, log_path)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: "subprocess.Popen[bytes]", log_path: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if (code := process.poll()) is not None:
            raise NotStarted(f"the service has ended with {code}: {_last_line(log_path)}")
        if (url := _url(log_path)) and _ready(url):
            return
        time.sleep(0.05)
    raise NotStarted(f"the service isn't ready after {_START_SECONDS:g} s: {_last_line(log_path)}")


def _url(log_path: Path) -> str | None:
    """Return the service's HTTP address from its log, None if it isn't there yet; skip an incomplete line."""
    for line in log_path.read_text(errors="replace").rpartition("\n")[0].splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("event") == "http_started":
            return str(entry["url"])
    return None


def _ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/readyz", timeout=2) as answer:  # noqa: S310 - the loopback address it logged
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _last_line(log_path: Path) -> str:
    lines = log_path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote no log"
