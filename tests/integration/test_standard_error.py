"""Standard error of `serve` is JSON alone where JSON is chosen, also before and beside the log itself."""

import json
import os
import subprocess
import sys

import pytest


def run(*command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODERATION_")}
    return subprocess.run(
        [sys.executable, *command],
        env=inherited | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        ((), {}, "MODERATION_BROKER_URL: got nothing"),
        ((), {"MODERATION_BROKER_URL": "redis://h", "MODERATION_LOG_FORMAT": "xml"}, "MODERATION_LOG_FORMAT"),
        (("--wrong",), {}, "No such option"),
    ],
)
def test_why_serve_does_not_start_is_json(
    arguments: tuple[str, ...], variables: dict[str, str], says: str
) -> None:
    """Where standard error is no terminal and nothing else is said, JSON is chosen."""
    ended = run("-m", "image_moderation", "serve", *arguments, **variables)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = [json.loads(line) for line in ended.stderr.splitlines()]
    assert (line["event"], line["level"]) == ("serve_failed", "error")
    assert says in line["error"]


def test_where_console_is_chosen_it_is_a_plain_line() -> None:
    ended = run("-m", "image_moderation", "serve", MODERATION_LOG_FORMAT="console")
    assert ended.stderr.startswith("MODERATION_BROKER_URL: got nothing; ")


def test_what_nobody_catches_is_json() -> None:
    program = """
import threading
from image_moderation.telemetry import logs

class Odd:
    def __del__(self):
        raise ValueError("finalizer")

def fail():
    raise ValueError("thread")

logs.configure("info", "json")
logs.log_uncaught()
Odd()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
raise ValueError("main")
"""
    ended = run("-c", program)
    assert ended.returncode == 1
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["uncaught"] * 3
    assert [line["exception"][0]["exc_value"] for line in lines] == ["finalizer", "thread", "main"]
