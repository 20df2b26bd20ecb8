"""Extracts and runs the programs of `contracts/`."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
    if not (shutil.which("node") and shutil.which("npm")):
        missing("node")
    wanted = json.loads((JAVASCRIPT / "package.json").read_text())["dependencies"]
    folder = JAVASCRIPT / "node_modules"

    def installed(name: str) -> str:
        with suppress(FileNotFoundError):
            return str(json.loads((folder / name / "package.json").read_text())["version"])
        return ""

    # Only one process installs at a time when several processes run tests.
    with (JAVASCRIPT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if any(installed(name) != version for name, version in wanted.items()):
            _install()
    return folder


def _install() -> None:
    quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier"]
    done = subprocess.run(
        ["npm", "install", *quiet],
        check=False,
        cwd=JAVASCRIPT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    if done.returncode:
        print(done.stderr)
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
