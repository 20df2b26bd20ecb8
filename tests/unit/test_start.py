"""The command line answers at once where it has nothing to do: what a command needs is imported with it."""

import os
import subprocess
import sys

import pytest

HEAVY = {"asyncio", "faststream", "prometheus_client", "pydantic", "redis", "rich", "structlog", "uvloop"}
PROGRAM = """
import sys
from image_moderation.cli.main import run
code = run(sys.argv[1:])
print(code, *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
CALLS = ("--version", "--help", "report --help", "serve --help", "dead-letters purge --help")


@pytest.mark.parametrize("arguments", CALLS)
def test_nothing_heavy_is_imported(arguments: str) -> None:
    line = [sys.executable, "-c", PROGRAM, *arguments.split()]
    result = subprocess.run(line, capture_output=True, check=True, text=True, timeout=60)
    assert not HEAVY.intersection(result.stderr.splitlines()[-1].split())


def seconds_of(*arguments: str) -> float:
    """The processor time of a Python with these arguments: the least of three runs."""
    used = []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        used.append(usage.ru_utime + usage.ru_stime)
    return min(used)


def test_the_version_takes_little_more_than_python_itself() -> None:
    # 0.015 s for nothing at all and 0.11 s for the version where this was written; it was 1.3 s.
    assert seconds_of("-m", "image_moderation", "--version") < 25 * seconds_of("-c", "pass")
