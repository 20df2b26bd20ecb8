"""Fixtures of the integration tests."""

import os

import pytest

from image_moderation.cli.main import run
from tests.support.command_line import Call, Result


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
            code = run(arguments)
        return Result(code, *capsys.readouterr())

    return run_with
