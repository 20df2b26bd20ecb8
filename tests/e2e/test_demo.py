"""The demo from end to end: a real server, the real service, a right outcome and a wrong one."""

import dataclasses
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks import demo
from tests.benchmarks.model import Expected, Message, count
from tests.benchmarks.processes import Failed
from tests.support.servers import RedisServers
from tests.support.service_process import ServiceProcess

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _has_valkey(redis_servers: RedisServers) -> None:
    redis_servers.engine("valkey")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder. Not `tmp_path`, which may be too long for the path of a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_exits_0_where_all_is_right(place: Path) -> None:
    # An empty PATH: the demo needs only the server that is installed with the environment.
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.demo", "--reports", "500", "--rate", "0"],
        cwd=ROOT,
        env={**os.environ, "PATH": str(place), "TMPDIR": str(place), "MODERATION_BLOCK_THRESHOLD": "2"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Thanks for reporting!" in done.stdout
    assert "Every image that had to be blocked was, once, and no other." in done.stdout
    assert done.stderr == ""
    assert list(place.iterdir()) == []  # it cleans up after itself


def test_exits_1_where_the_outcome_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def one_more(messages: list[Message]) -> Expected:
        expected = count(messages)
        return dataclasses.replace(expected, must=expected.must | {"never-reported"})

    monkeypatch.setattr(demo, "count", one_more)
    assert demo.tell("redis", 500, 0, 7) == 1
    assert "not blocked, though enough people reported it: never-reported" in " ".join(
        capsys.readouterr().out.split()
    )


def test_says_in_one_line_why_the_service_did_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "ServiceProcess", functools.partial(ServiceProcess, module="tests.no_such"))
    with pytest.raises(Failed, match=r"ended with 1 .*No module named tests\.no_such$"):
        demo.tell("redis", 500, 0, 7)
