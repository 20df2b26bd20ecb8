"""The installed package: it holds what it needs, and a stranger's package named `service` does it no harm.

`service/` is only where the repository keeps the package; many sites have a folder or a package of that name.
"""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest

from image_moderation import __version__
from tests.support.service_process import ROOT

STRANGER = "WHOSE = 'a stranger'\n"
PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "service"
version = "1"
"""
VERSION = f"image-moderation {__version__}\n"


def run(command: Sequence[str], cwd: Path, *, pythonpath: Path | None = None) -> str:
    """Returns what the command prints; AssertionError with all of it if it fails."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    if pythonpath is not None:
        environment["PYTHONPATH"] = str(pythonpath)
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(project: Path, target: Path) -> Path:
    """Builds a wheel with the hatchling of this environment, as `pip install .` would with its own."""
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)], project)
    [wheel] = target.glob("*.whl")
    return wheel


def stranger(folder: Path) -> Path:
    """A folder with a `service` package, as a site of its own may have."""
    (folder / "service").mkdir(parents=True)
    (folder / "service" / "__init__.py").write_text(STRANGER)
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with the wheel, and after it a distribution named `service`, in it."""
    place = tmp_path_factory.mktemp("installed")
    project = stranger(place / "project")
    (project / "pyproject.toml").write_text(PROJECT)
    environment = place / "environment"
    venv.create(environment, symlinks=True)
    paths = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    # The dependencies are those of this environment. Its own .pth files aren't read from there: one of them
    # would put this checkout on the path.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    uv = str(Path(sys.executable).with_name("uv"))
    install = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(environment)]
    for distribution in (wheel, build(project, place)):
        run([*install, str(distribution)], place)
    return environment / "bin"


def test_the_wheel_holds_the_package_alone_and_all_of_it(wheel: Path) -> None:
    names = {name for name in ZipFile(wheel).namelist() if not name.endswith("/")}
    information = f"image_moderation-{__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"image_moderation", information}
    source = ROOT / "service"
    files = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if not name.startswith(information)} == files
    assert "image_moderation/py.typed" in files
    assert {str(Path(name).parent) for name in files if name.endswith(".lua")} >= {
        "image_moderation/store/scripts",
        "image_moderation/brokers/redis/scripts",
    }


def test_a_package_named_service_is_installed_beside_it(installed: Path, tmp_path: Path) -> None:
    python, program = str(installed / "python"), str(installed / "image-moderation")
    where = "import image_moderation, service; print(image_moderation.__file__, service.WHOSE)"
    [path, _, whose] = run([python, "-c", where], tmp_path).partition(" ")
    assert Path(path).is_relative_to(installed.parent), "the one of the wheel, not of this checkout"
    assert whose == "a stranger\n"
    for command in ([python, "-m", "image_moderation"], [program]):
        assert run([*command, "--version"], tmp_path) == VERSION
        assert "Usage: image-moderation" in run([*command, "--help"], tmp_path)


@pytest.mark.parametrize("working_directory", ["the stranger's", "another"])
def test_a_folder_named_service_on_the_path_is_no_matter(
    installed: Path, tmp_path: Path, working_directory: str
) -> None:
    theirs = stranger(tmp_path / "theirs")
    cwd = theirs if working_directory == "the stranger's" else tmp_path
    for programs in (installed, Path(sys.executable).parent):  # as installed, and as in development
        python, program = str(programs / "python"), str(programs / "image-moderation")
        whose = [python, "-c", "import service; print(service.__file__)"]
        assert Path(run(whose, cwd, pythonpath=theirs).strip()).parent == theirs / "service"
        for command in ([python, "-m", "image_moderation"], [program]):
            assert run([*command, "--version"], cwd, pythonpath=theirs) == VERSION
            assert "serve" in run([*command, "--help"], cwd, pythonpath=theirs)
