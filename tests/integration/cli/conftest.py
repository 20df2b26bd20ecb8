"""Fixtures of the tests of the command line."""

import os
from collections.abc import Iterator

import pytest
import redis

from image_moderation.cli.main import run
from tests.support.case_values import case_key, case_value
from tests.support.command_line import Call, Result
from tests.support.decided_cases import CASES


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs one command line in this process, with these MODERATION_* variables alone."""

    def run_with(*arguments: str, **variables: str) -> Result:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("MODERATION_")]:
                patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(f"MODERATION_{name.upper()}", value)
            patch.setenv("COLUMNS", "200")
            patch.setenv("TERM", "xterm")
            code = run(arguments)
        return Result(code, *capsys.readouterr())

    return run_with


@pytest.fixture
def cli(call: Call, redis_url: str) -> Call:
    """As `call`, with a broker."""

    def run_with(*arguments: str, **variables: str) -> Result:
        return call(*arguments, **{"broker_url": redis_url, **variables})

    return run_with


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as connected:
        yield connected


@pytest.fixture
def cases(client: redis.Redis) -> None:
    """Puts the cases of `decided_cases` into the store."""
    for image, case in CASES.items():
        client.set(case_key(image), case_value(case), ex=60)
