"""What the fuzzer begins with, and what it found, is judged each time; `make fuzz` looks for more."""

from image_moderation.domain.report import Report, Review
from tests.fuzz.seeds import seeds
from tests.support.parser_oracle import check

SEEDS = list(seeds())


def test_every_seed_is_judged() -> None:
    accepted = [name for name, data in SEEDS if isinstance(check(data), Report | Review)]
    assert len(SEEDS) > 500
    assert 50 < len(accepted) < len(SEEDS) / 2
