"""Which runs there are: the sections of the result, each with its contenders and their grid of strategies."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from tests.benchmarks.abuse.assumptions import Assumptions
from tests.benchmarks.abuse.attackers import (
    GRID,
    RETURNS,
    SPREADS,
    WITHOUT_FARMING,
    Strategy,
    vandals,
)
from tests.benchmarks.abuse.contestants import PROFILES, Contestant, PlainCount, in_memory, least_reporters
from tests.benchmarks.abuse.discourse import FlagScore
from tests.benchmarks.abuse.measures import Measures, measure
from tests.benchmarks.abuse.simulation import Simulation
from tests.benchmarks.abuse.world import World, build

FEW_STRATEGIES = (
    Strategy(),
    Strategy(SPREADS["25 d"]),
    Strategy(SPREADS["6 h"], RETURNS["31 d"]),
    Strategy(SPREADS["3 d"], RETURNS["1 h"]),
)
"""For the sections beside the main one: fast, slow, and with either return."""
URGENTLY = Strategy(urgent=True)
ACCOUNTS = (1, 2, 3, 5, 8, 10, 12, 16, 20, 30, 45, 60)
TEAM = ("reviews_a_day", "hours_a_day", "least_delay", "more_delay", "error")
"""The assumptions that don't change the world, only its moderators."""


@dataclass(frozen=True)
class Contender:
    """One policy under test, in the population that `assume` changes."""

    name: str
    settings: Mapping[str, str] | None = None
    """Of the real policy; None for another."""
    other: Callable[[], Contestant] = PlainCount
    groups: bool = True
    assume: Mapping[str, Any] = field(default_factory=dict)
    vandals: tuple[int, int] | None = None
    """Accounts of a crowd that aims at no image, and the images a day that they report."""

    def make(self) -> Contestant:
        """Return a fresh contestant."""
        return self.other() if self.settings is None else in_memory(self.settings, groups=self.groups)

    @property
    def least(self) -> int:
        """The fewest reports that can matter to it."""
        return 1 if self.settings is None else least_reporters(self.settings)


PLAIN = Contender("plain count of 5")
DEFAULT = Contender("default", PROFILES["default"])
MODERATED = Contender("moderated", PROFILES["moderated"])
HALF = Contender("moderated, half the team", PROFILES["moderated"], assume={"reviews_a_day": 15.0})
DISCOURSE = Contender("Discourse's flag score", other=FlagScore)
HEADLINE = (PLAIN, DEFAULT, MODERATED, HALF, DISCOURSE)


def _adapting() -> FlagScore:
    return FlagScore(adapts=True)


def _changed(name: str, base: Contender = DEFAULT, /, **settings: str) -> Contender:
    named = {f"MODERATION_{key.upper()}": value for key, value in settings.items()}
    return replace(base, name=name, settings={**(base.settings or {}), **named})


def _assuming(name: str, base: Contender, /, **assume: Any) -> Contender:
    return replace(base, name=name, assume={**base.assume, **assume})


OPTIONS = (
    DEFAULT,
    _changed("block at 3", block_threshold="3"),
    _changed("block at 8", block_threshold="8"),
    _changed("block at 12", block_threshold="12"),
    _changed("window 1 d", report_window="1d"),
    _changed("window 7 d", report_window="7d"),
    _changed("immunity 0 s", immunity="0s"),
    _changed("immunity 90 d", immunity="90d"),
    replace(DEFAULT, name="no groups sent", groups=False),
    replace(_changed("no groups sent, immunity 0 s", immunity="0s"), groups=False),
    _changed("review at 3", review_threshold="3"),
    _changed("urgent reason csam", urgent_reasons="csam"),
    _changed("2 blocks an hour", max_blocks_per_hour="2"),
    MODERATED,
    _changed("moderated, review at 2", MODERATED, review_threshold="2"),
    _changed("moderated, review at 3", MODERATED, review_threshold="3"),
    _changed("moderated, grace 2 h", MODERATED, review_grace="2h"),
    _changed("moderated, grace 24 h", MODERATED, review_grace="24h"),
    _changed("moderated, no grace", MODERATED, review_grace="off"),
    _changed("moderated, block at 20", MODERATED, block_threshold="20"),
    _changed("moderated, grace 24 h, block at 20", MODERATED, block_threshold="20", review_grace="24h"),
)
NARROW = {"views_spread": 30.0, "per_violating": 3.3, "per_benign": 0.06}
WIDE = {"views_spread": 1_000.0, "per_violating": 0.58, "per_benign": 0.0348}
POPULATIONS = tuple(
    _assuming(f"{base.name}, views 1:{round(views['views_spread']):,}", base, **views)
    for views in (NARROW, {"views_spread": Assumptions().views_spread}, WIDE)
    for base in (PLAIN, DEFAULT, MODERATED)
)
VANDALS = (16, 60)
FAILURES = (
    *(
        changed
        for base in (DEFAULT, MODERATED)
        for changed in (
            base,
            _assuming(f"{base.name}, brigades alone", base, brigades=1.0),
            _assuming(f"{base.name}, team works 8 h a day", base, hours_a_day=8.0),
            replace(base, name=f"{base.name}, queue flooded", vandals=VANDALS),
        )
    ),
    replace(_changed("default, queue flooded, 2 blocks an hour", max_blocks_per_hour="2"), vandals=VANDALS),
    replace(DISCOURSE, name="Discourse's, adapting", other=_adapting),
)


class Spec(NamedTuple):
    """One run, but for its seed."""

    section: str
    contender: Contender
    strategy: Strategy


def sections() -> Mapping[str, Sequence[Spec]]:
    """Return the runs of each section."""
    found = {"headline": [Spec("headline", one, way) for one in HEADLINE for way in _grid(one)]}
    found["signal"] = [
        Spec("signal", _assuming(f"{base.name}, {share:.0%} linked", base, linked=share), way)
        for base in (DEFAULT, MODERATED)
        for share in (0.0, Assumptions().linked, 0.9)
        for way in WITHOUT_FARMING
    ]
    found["accounts"] = [
        Spec("accounts", one, replace(way, accounts=number))
        for one in HEADLINE
        for number in ACCOUNTS
        for way in (Strategy(), Strategy(SPREADS["3 d"]), Strategy(farm=True))
        if way in _grid(one)
    ]
    for name, every in (
        ("options", OPTIONS),
        ("populations", POPULATIONS),
        ("failures", FAILURES),
    ):
        found[name] = [Spec(name, one, way) for one in every for way in FEW_STRATEGIES]
    found["options"] += [Spec("options", one, URGENTLY) for one in OPTIONS if "urgent" in one.name]
    return found


def _grid(one: Contender) -> Sequence[Strategy]:
    """Leave farming out where accounts have no reputation: a test shows that it makes no difference there."""
    return GRID if one.other is FlagScore else WITHOUT_FARMING


@lru_cache(maxsize=4)
def _world(seed: int, assumed: Assumptions) -> World:
    return build(seed, assumed)


def world_of(seed: int, assumed: Assumptions) -> World:
    """Return the world of a seed; built once for all teams."""
    usual = {name: getattr(Assumptions(), name) for name in TEAM}
    return replace(_world(seed, replace(assumed, **usual)), assumed=assumed)


def play(seed: int, spec: Spec, assumed: Assumptions) -> Measures:
    """Return the measures of one run."""
    one = spec.contender
    world = world_of(seed, replace(assumed, **one.assume))
    decoys = vandals(world, accounts=one.vandals[0], images_a_day=one.vandals[1]) if one.vandals else ()
    simulation = Simulation(world, one.make(), spec.strategy, least=one.least, decoys=decoys)
    return measure(world, asyncio.run(simulation.play()))
