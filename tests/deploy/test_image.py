"""deploy/Dockerfile: linted; its build stage is run, and the result is started as in the image.

Not tested: that the base image has the same programs as this machine, and what a container engine does.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml

from image_moderation import __version__
from image_moderation.embedded import EmbeddedRedis
from tests.support.deploy_commands import DEPLOY, changed, faults, ours
from tests.support.dockerfile import DOCKERFILE, IGNORED, PREFIX, Stage, build, files, stages
from tests.support.servers import RedisServers, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)  # the build downloads the packages of the lock

USER = "10001"
# Remounts every mount read-only, for this command alone.
READ_ONLY = """
for place in $(cut -d ' ' -f 2 /proc/mounts); do mount -o remount,bind,ro "$place" 2>/dev/null || :; done
exec "$@"
"""


@pytest.fixture(scope="module")
def dockerfile() -> tuple[Stage, Stage]:
    build_stage, image = stages(DOCKERFILE.read_text())
    return build_stage, image


def test_hadolint_has_nothing_to_say() -> None:
    assert not faults(ours("hadolint"), DOCKERFILE)


def test_hadolint_finds_what_is_wrong(tmp_path: Path) -> None:
    edits = [("FROM python:3.11.14-slim-bookworm", "FROM python"), ("USER 10001:10001", "USERR 10001")]
    assert faults(ours("hadolint"), changed(DOCKERFILE, tmp_path / "Dockerfile", edits))


def test_the_image_is_what_kubernetes_and_compose_expect(dockerfile: tuple[Stage, Stage]) -> None:
    build_stage, image = dockerfile
    assert build_stage.base == image.base, "the environment's python is a link to the base's"
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", image.base)
    assert image.env["MODERATION_HTTP_HOST"] == "0.0.0.0", (
        "no one outside would reach the default, the loopback"
    )
    user = image.only("USER")
    deployment = (DEPLOY / "kubernetes" / "base" / "deployment.yaml").read_text()
    context = yaml.safe_load(deployment)["spec"]["template"]["spec"]["securityContext"]
    assert user == f"{USER}:{USER}" == f"{context['runAsUser']}:{context['runAsGroup']}"
    versions = {
        re.findall(r'image\.version="(.+)"', DOCKERFILE.read_text())[0],
        *re.findall(r"image: image-moderation:(.+)", (DEPLOY / "compose.yaml").read_text()),
        *re.findall(r"newTag: (\S+)", (DEPLOY / "kubernetes" / "base" / "kustomization.yaml").read_text()),
    }
    assert versions == {__version__}


def test_the_builder_is_sent_no_more_than_is_copied(dockerfile: tuple[Stage, Stage]) -> None:
    copied = [rest.split()[:-1] for name, rest in dockerfile[0].instructions if name == "COPY"]
    sent = {line[1:] for line in IGNORED.read_text().split() if line.startswith("!")}
    assert sent == {name for names in copied for name in names}


def unprivileged(*command: str) -> list[str]:
    """Return a command that can't write any byte; for root, also as the image's user, mounts read-only."""
    limited = ["prlimit", "--fsize=0", "--", *command]
    if os.geteuid() != 0:
        return limited
    leave = [
        "setpriv",
        f"--reuid={USER}",
        f"--regid={USER}",
        "--clear-groups",
        "--no-new-privs",
        "--inh-caps=-all",
    ]
    as_user = [*leave, "--bounding-set=-all", *limited]
    isolated = ["unshare", "--mount", "--", "sh", "-c", READ_ONLY, "sh"]
    can = subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode == 0
    return [*isolated, *as_user] if can else as_user


def test_nothing_can_be_written() -> None:
    """The restriction works: a service that starts with it needs no writable path."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        command = unprivileged("sh", "-c", f"echo something > {name}/file")
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0
        assert [path for path in Path(name).iterdir() if path.stat().st_size] == []


def python_for_all() -> Path:
    """Return a Python that the unprivileged user can start, unlike one under root's home."""
    candidates = ("/usr/bin/python3", str(getattr(sys, "_base_executable", sys.executable)))
    for candidate in candidates:
        test = [candidate, "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"]
        if (
            shutil.which(candidate)
            and not subprocess.run(unprivileged(*test), capture_output=True, check=False).returncode
        ):
            return Path(candidate)
    pytest.fail("no Python 3.11 with venv that every user may start")


@pytest.fixture(scope="module")
def environment(dockerfile: tuple[Stage, Stage]) -> Iterator[Path]:
    """The environment of the image, built in an empty folder that every user can read."""
    with tempfile.TemporaryDirectory(prefix="image-") as name:
        place = Path(name)
        place.chmod(0o755)
        programs = place / "programs"
        programs.mkdir()
        (programs / "python").symlink_to(python_for_all())
        # Without the variables of this environment, but with those by which pip and uv reach their index.
        of_ours = ("VIRTUAL_ENV", "PYTHON", "MODERATION_", "COVERAGE", "COV_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(of_ours)}
        yield build(dockerfile[0], place, kept | {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(place)})


@pytest.fixture(scope="module")
def redis_url(redis_servers: RedisServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server: EmbeddedRedis
    with redis_servers.new(tmp_path_factory.mktemp("image") / "redis") as server:
        yield server.tcp_url


def status(url: str) -> int:
    try:
        with urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def as_in_the_image(image: Stage, environment: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process in the container: no home, and only this machine's programs."""
    env = {name: value.replace(PREFIX, str(environment)) for name, value in image.env.items()}
    return {**env, "PATH": env["PATH"].replace("$PATH", "/usr/bin:/bin"), **settings}


def test_what_the_image_holds_starts_and_is_ready(
    environment: Path, dockerfile: tuple[Stage, Stage], redis_url: str
) -> None:
    image = dockerfile[1]
    before = set(files(environment))
    port = free_port()
    env = as_in_the_image(
        image, environment, {"MODERATION_BROKER_URL": redis_url, "MODERATION_HTTP_PORT": str(port)}
    )
    healthy = unprivileged(*json.loads(image.only("HEALTHCHECK").split("CMD", 1)[1]))

    def is_healthy() -> bool:
        return subprocess.run(healthy, cwd="/", env=env, capture_output=True, check=False).returncode == 0

    assert not is_healthy()
    command = unprivileged(*image.words("ENTRYPOINT"), *image.words("CMD"))
    service = subprocess.Popen(
        command, cwd="/", env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        wait_until(
            lambda: service.poll() is not None or status(f"http://127.0.0.1:{port}/readyz") == 200,
            "ready",
            20,
        )
        answers = {
            path: status(f"http://127.0.0.1:{port}{path}") for path in ("/readyz", "/livez", "/metrics")
        }
        alive = is_healthy()
    finally:
        service.terminate()
        output, _ = service.communicate(timeout=30)
    assert answers == {"/readyz": 200, "/livez": 200, "/metrics": 200}, output.decode()
    assert alive, "the health check"
    assert service.returncode == 0, output.decode()
    assert set(files(environment)) == before, "it wrote into its own environment"


def test_the_image_holds_no_more_than_it_needs(environment: Path) -> None:
    [packages] = environment.glob("lib/python3.*/site-packages")
    names = {path.name.lower() for path in packages.iterdir()}
    assert {"image_moderation", "faststream", "redis"} <= names
    assert not names & {"pip", "uv", "pytest", "hatchling", "tests"}
    assert sum(size for _, size, _ in files(environment)) < 120_000_000, (
        "63 MB when this was written, on Redis alone"
    )


def test_a_step_that_fails_is_found(tmp_path: Path) -> None:
    edits = {
        "keeps tests from the builder": ("COPY requirements.lock", "COPY tests"),
        "No such file": ("requirements.lock > uv.txt", "requirments.lock > uv.txt"),
    }
    for message, edit in edits.items():
        mistyped = stages(changed(DOCKERFILE, tmp_path / "Dockerfile", [edit]).read_text())
        with pytest.raises(AssertionError, match=message):
            build(mistyped[0], tmp_path / message, {"PATH": os.environ["PATH"], "LC_ALL": "C"})
