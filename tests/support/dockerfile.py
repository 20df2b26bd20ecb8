"""Parses deploy/Dockerfile, and runs its build stage without a container engine."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.service_process import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IGNORED = ROOT / "deploy" / "Dockerfile.dockerignore"
PREFIX = "/opt/image-moderation"
"""Path of the virtual environment in the image."""
_BUILD = {"ENV", "WORKDIR", "COPY", "RUN"}


@dataclass
class Stage:
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def only(self, name: str) -> str:
        [found] = (rest for instruction, rest in self.instructions if instruction == name)
        return found

    def words(self, name: str) -> list[str]:
        """Return the words of an instruction in JSON form."""
        return [str(word) for word in json.loads(self.only(name))]

    @property
    def env(self) -> dict[str, str]:
        found = (rest for instruction, rest in self.instructions if instruction == "ENV")
        return dict(pair.split("=", 1) for rest in found for pair in shlex.split(rest))


def stages(text: str) -> list[Stage]:
    """Return the stages of a Dockerfile that has neither heredocs nor parser directives."""
    found: list[Stage] = []
    whole = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    for line in filter(str.strip, whole.splitlines()):
        name, rest = line.split(maxsplit=1)
        if name == "FROM":
            found.append(Stage(rest.split()[0]))
        else:
            found[-1].instructions.append((name, rest.strip()))
    return found


def build(stage: Stage, place: Path, environ: Mapping[str, str]) -> Path:
    """Run a build stage in `place`, which replaces the root directory; return the environment there.

    Raises AssertionError with the output of a command that fails. Paths of the image in commands are
    replaced by paths in `place`; `environ` is the environment of the commands beside the stage's own ENV.
    """
    prefix, workdir = place / PREFIX.lstrip("/"), place
    prefix.parent.mkdir(parents=True)
    for name, rest in stage.instructions:
        assert name in _BUILD, f"the build stage has {name}, which this can't carry out"
        if name == "WORKDIR":
            workdir = place / rest.lstrip("/")
            workdir.mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            *sources, target = rest.split()
            _copy(sources, workdir, target)
        elif name == "RUN":
            done = subprocess.run(
                ["sh", "-c", rest.replace(PREFIX, str(prefix))],
                cwd=workdir,
                env={**environ, **stage.env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=110,
                check=False,
            )
            assert done.returncode == 0, f"RUN {rest}\n{done.stdout}"
    return prefix


def _copy(sources: Sequence[str], workdir: Path, target: str) -> None:
    """As COPY: files into a folder, or one under a new name; a folder's content into a folder."""
    allowed, never = _context()
    for source in sources:
        assert source in allowed, f"{IGNORED.name} keeps {source} from the builder"
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, workdir / target, ignore=lambda _, names: _matching(names, never))
        else:
            (workdir / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, workdir / target)


def _context() -> tuple[set[str], list[str]]:
    lines = [line for line in IGNORED.read_text().split() if not line.startswith("#")]
    return (
        {line[1:] for line in lines if line.startswith("!")},
        [line[3:] for line in lines if line.startswith("**/")],
    )


def _matching(names: Sequence[str], patterns: Sequence[str]) -> set[str]:
    return {name for name in names for pattern in patterns if fnmatch.fnmatch(name, pattern)}


def files(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Give path, size and modification time of everything in a folder."""
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            state = path.lstat()
            yield str(path), state.st_size, state.st_mtime_ns
