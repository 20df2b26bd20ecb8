"""Hundreds of virtual days of load, kills and outages, with every invariant checked at every call.

A failure names its seed and how to run it again. `make simulate` runs more.
"""

import os
import re
import subprocess
import sys

import pytest

from image_moderation.domain.clock import DAY
from tests.simulation.__main__ import main, run
from tests.simulation.broken import BROKEN
from tests.support.service_process import ROOT

ITEMS, SEEDS = 10, 24
"""Items, which the processes of `make test` share, and seeds of each."""

SAME = [1, 13, 26]
"""Seeds with errors that end whole groups of tasks, among others."""


@pytest.mark.parametrize("item", range(ITEMS))
def test_nothing_is_found(item: int) -> None:
    results = [run(seed) for seed in range(1 + item * SEEDS, 1 + (item + 1) * SEEDS)]
    for result in results:
        assert not result.violation, "\n".join([*result.tail, f'make simulate ARGS="--seed {result.seed}"'])
    # Beyond a hundred days in all, and something happened in them.
    assert sum(result.virtual for result in results) > 100 / ITEMS * DAY / 1000
    assert sum(result.decisions for result in results) > 5 * SEEDS
    assert sum(result.kills for result in results) > SEEDS


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_service_is_found(broken: str) -> None:
    assert any(run(seed, broken).violation for seed in range(1, 60))


def test_what_is_found_is_told_with_its_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["simulate", "--seed", "1", "--break", "ack-before-store", "--shrink"])
    assert main() == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("Plan(seed=1, ")
    assert re.fullmatch(
        r"seed 1, after .*: message \d+ is acked without an effect or a dead letter", told[-2]
    )
    assert told[-1] == 'once more: make simulate ARGS="--seed 1 --break ack-before-store"'


def test_a_seed_is_the_same_run_in_any_process() -> None:
    # Neither hashes of text, nor addresses, nor the moments of the garbage collector decide anything.
    expected = str([run(seed).digest for seed in SAME])
    for hash_seed, collect in (("0", "gc.disable()"), ("4711", "gc.set_threshold(50, 2, 2)")):
        script = f"import gc; {collect}; print([run(seed).digest for seed in {SAME}])"
        script = f"from tests.simulation.__main__ import run; {script}"
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        assert done.stdout.strip() == expected
