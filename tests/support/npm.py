"""Installs the packages that a package.json names."""

import fcntl
import json
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

QUIET = ("--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier")


class NpmError(Exception):
    """The packages can't be had; the message is one line."""


def packages(wanted: Path, folder: Path) -> Path:
    """Return the folder with the packages that a package.json names; install missing or outdated ones.

    They go into `folder`, beside a copy of `wanted`.

    Raises:
        NpmError: there is no Node.js, or npm can't install them.
    """
    if not (shutil.which("node") and shutil.which("npm")):
        raise NpmError("node and npm are not on PATH")
    folder.mkdir(parents=True, exist_ok=True)
    found = folder / "node_modules"

    def installed(name: str) -> str:
        with suppress(FileNotFoundError):
            return str(json.loads((found / name / "package.json").read_text())["version"])
        return ""

    # Only one process installs at a time when several processes run tests.
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        versions = json.loads(wanted.read_text())["dependencies"]
        if any(installed(name) != version for name, version in versions.items()):
            shutil.copy(wanted, folder)
            done = subprocess.run(
                ["npm", "install", *QUIET],
                check=False,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=100,
            )
            if done.returncode:
                raise NpmError(f"npm install failed: {done.stderr.strip().splitlines()[-1:]}")
    return found
