"""Runs the programs of `contracts/clients/` as they are."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path

from tests.support import npm
from tests.support.servers import missing
from tests.support.service_process import ROOT

CLIENTS = ROOT / "contracts" / "clients"
# For all test processes, so that npm installs once.
PACKAGES = ROOT / "build" / "javascript"

ADDRESS: Mapping[str, Callable[[str], dict[str, str]]] = {
    "redis": lambda url: {"REDIS_URL": url},
    "kafka": lambda url: {"KAFKA_BROKERS": url.removeprefix("kafka://")},
    "rabbitmq": lambda url: {"AMQP_URL": url},
    "nats": lambda url: {"NATS_URL": url},
}
"""The environment variable of the programs for each broker's address."""


class Language:
    """Producers and workers of one language and broker, with a group and a site's database of their own."""

    def __init__(self, name: str, broker: str, url: str, place: Path) -> None:
        suffix, self._run = {
            "python": ("py", [sys.executable]),
            "javascript": ("mjs", ["node"]),
            "shell": ("sh", ["sh"]),
        }[name]
        if name == "shell" and not shutil.which("redis-cli"):
            missing("redis-cli")
        self.name = name
        self._place = place / name
        shutil.copytree(CLIENTS / name, self._place)
        if name == "javascript":
            (self._place / "node_modules").symlink_to(node_modules(), target_is_directory=True)
        self._program = f"{broker}_{{}}.{suffix}"
        own = {"GROUP": f"gallery-{name}", "SITE_DATABASE": str(self._place / "site.db")}
        # Kafka's clients tell every 3 s that they live.
        own |= {"TAKE_OVER_AFTER": "6" if broker == "kafka" else "2", "LC_ALL": "C.UTF-8"}
        self._env = os.environ | ADDRESS[broker](url) | own
        self._started: list[subprocess.Popen[bytes]] = []
        self._producer = None if name == "shell" else self._start("producer")

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker")

    def report(self, image: str, person: str) -> None:
        """Hand a report to the producer; in a shell, each has its own."""
        if self._producer is None:
            self._start("producer", image, person)
            return
        assert self._producer.stdin is not None
        line = json.dumps({"image_id": image, "reporter_id": person})
        self._producer.stdin.write(line.encode() + b"\n")
        self._producer.stdin.flush()

    def reported(self, image: str) -> int:
        """Return how many reports of an image the broker has stored."""
        return self._output.count(f"reported {image}")

    @property
    def acts(self) -> Counter[str]:
        """`block IMAGE` and `unblock IMAGE`, and how often each was applied."""
        return Counter(line for line in self._output if not line.startswith("reported "))

    def record(self) -> dict[str, bool]:
        """Return whether each image that the site's database has a decision on is blocked."""
        with closing(sqlite3.connect(self._place / "site.db")) as database:
            rows = database.execute("SELECT image_id, blocked FROM moderation").fetchall()
        return {image: bool(blocked) for image, blocked in rows}

    @property
    def ended(self) -> list[int]:
        """The exit code of each program that has ended."""
        return [process.returncode for process in self._started if process.poll() is not None]

    @property
    def errors(self) -> str:
        return (self._place / "errors").read_text(encoding="utf-8")

    def close(self) -> None:
        """End what was started, by its id."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def _start(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._place / "output").open("ab") as out, (self._place / "errors").open("ab") as errors:
            process = subprocess.Popen(
                [*self._run, self._program.format(program), *arguments],
                cwd=self._place,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    @property
    def _output(self) -> list[str]:
        return (self._place / "output").read_text(encoding="utf-8").splitlines()


def node_modules() -> Path:
    """Return the folder with the packages of the JavaScript programs."""
    try:
        return npm.packages(CLIENTS / "javascript" / "package.json", PACKAGES)
    except npm.NpmError as error:
        print(error)
        missing("node")
