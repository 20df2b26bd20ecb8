"""Extracts and runs the programs of `contracts/`."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support import npm
from tests.support.servers import missing
from tests.support.service_process import ROOT

CLIENTS = ROOT / "contracts" / "clients"
JAVASCRIPT = ROOT / "tests" / "e2e" / "javascript"

README = ROOT / "contracts" / "README.md"


def program(part: str, language: str) -> str:
    """Return the code block of one language in one section of the README."""
    _, heading, rest = README.read_text(encoding="utf-8").partition(f"\n## {part}\n")
    assert heading, part
    section = rest.partition("\n## ")[0]
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f"{part}: {len(blocks)} blocks of {language}"
    return str(blocks[0])


def node_modules() -> Path:
    """Return the folder with the packages of the JavaScript programs; install missing or outdated ones."""
    try:
        return npm.packages(JAVASCRIPT)
    except npm.NpmError as error:
        print(error)
        missing("node")


@contextmanager
def running(command: list[str], env: dict[str, str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run an endless program in its own process group; kill the group at the end of the block."""
    with output.open("wb") as out:
        process = subprocess.Popen(
            command, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
