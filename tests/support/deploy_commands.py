"""Runs the programs that check the files of deploy/."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.servers import missing
from tests.support.service_process import ROOT

DEPLOY = ROOT / "deploy"


def ours(name: str) -> str:
    """Return the path of a program of the development environment."""
    return str(Path(sys.executable).parent / name)


def installed(name: str) -> str:
    """Return the path of an installed program; without it, skip the test, or fail it in CI."""
    return shutil.which(name) or missing(name)


def run(*command: str | Path, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def faults(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a check; return its exit code and output, or "" if it succeeds."""
    done = run(*command, cwd=cwd)
    return "" if done.returncode == 0 else f"exit {done.returncode}: {done.stdout}{done.stderr}"


def changed(source: Path, target: Path, edits: Sequence[tuple[str, str]]) -> Path:
    """Write a copy of a file with each text replaced, for example by a typo. Each text must occur."""
    text = source.read_text()
    for old, new in edits:
        assert old in text, f"{source} has no {old!r} to change"
        text = text.replace(old, new)
    target.write_text(text)
    return target
