"""The programs that check what is deployed, and how a test runs one."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.servers import missing
from tests.support.service_process import ROOT

DEPLOY = ROOT / "deploy"


def ours(name: str) -> str:
    """A program that the development environment brings."""
    return str(Path(sys.executable).parent / name)


def installed(name: str) -> str:
    """A program of the machine's; the test is skipped without it, in CI it fails."""
    return shutil.which(name) or missing(name)


def run(*command: str | Path, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def faults(*command: str | Path, cwd: Path = ROOT) -> str:
    """What a check has to say: nothing where all is well."""
    done = run(*command, cwd=cwd)
    return "" if done.returncode == 0 else f"exit {done.returncode}: {done.stdout}{done.stderr}"


def changed(source: Path, target: Path, edits: Sequence[tuple[str, str]]) -> Path:
    """A copy of a file with each text replaced, as a person might mistype it; the texts have to be there."""
    text = source.read_text()
    for old, new in edits:
        assert old in text, f"{source} has no {old!r} to change"
        text = text.replace(old, new)
    target.write_text(text)
    return target
