"""The simulation of attacks decides the same through the real script on a real server."""

from dataclasses import replace

import pytest

from tests.benchmarks.abuse import real_script
from tests.benchmarks.abuse.assumptions import Assumptions
from tests.benchmarks.abuse.attackers import RETURNS, SPREADS, Strategy
from tests.benchmarks.abuse.contestants import PROFILES
from tests.benchmarks.abuse.world import build

SMALL = replace(Assumptions(), images=1_500, attacks=25)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_real_script_decides_the_same(profile: str) -> None:
    returning = Strategy(SPREADS["6 h"], RETURNS["31 d"])
    found = real_script.compare(build(7, SMALL), PROFILES[profile], returning)
    assert found.decisions > 50
    assert (found.only_in_memory, found.only_in_redis) == ([], [])
