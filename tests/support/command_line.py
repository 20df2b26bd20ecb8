"""Command lines: the result of one in the test's own process, and one in its own process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.support.service_process import ROOT


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """One object."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """A list: one object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Result]


@contextmanager
def subprocess_of(
    *arguments: str, broker: str, stdin: int = subprocess.DEVNULL
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command in its own process; kill it with SIGKILL if it still runs at the end of the block."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODERATION_")}
    with subprocess.Popen(
        [sys.executable, "-m", "image_moderation", *arguments],
        cwd=ROOT,
        env=inherited | {"MODERATION_BROKER_URL": broker},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
