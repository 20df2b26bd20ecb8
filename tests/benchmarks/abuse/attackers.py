"""How a crowd goes about it: the fixed grid of strategies, and one crowd's moves under one of them.

An attacker knows the policy and sees whether the image is shown, nothing else. No attacker sends a report
that can't matter: none follows once the image is blocked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from tests.benchmarks.abuse.world import BASE, DAY, HOUR, Attack, Person, World

SPREADS = {"10 min": HOUR // 6, "6 h": 6 * HOUR, "3 d": 3 * DAY, "25 d": 25 * DAY}
"""The time over which the accounts of one wave report."""
RETURNS = {"never": 0, "1 h": HOUR, "31 d": 31 * DAY}
"""How long after it is shown again, or after a wave that didn't block, the same accounts come again."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to attack. The accounts are the crowd's own; times in milliseconds."""

    spread: int = SPREADS["10 min"]
    again: int = 0
    """0 never."""
    farm: bool = False
    """Whether each account has earned trust by right reports before. A policy that counts people takes no
    notice.
    """
    urgent: bool = False
    """Whether the reports name an urgent reason."""
    accounts: int = 0
    """Accounts of each crowd; 0 takes as many as the world gave it."""

    @property
    def text(self) -> str:
        """In words, for tables."""
        spread = next(name for name, span in SPREADS.items() if span == self.spread)
        parts = [f"within {spread}"]
        if self.again:
            name = next(name for name, span in RETURNS.items() if span == self.again)
            parts.append(f"returns after {name}")
        parts += ["farmed"] * self.farm + ["urgent reason"] * self.urgent
        return ", ".join(parts)


GRID = tuple(
    Strategy(spread, again, farm)
    for farm, again, spread in product((False, True), RETURNS.values(), SPREADS.values())
)
"""What an attacker chooses from, cheap ways first: of two that do equal harm the earlier one is the
response.
"""
WITHOUT_FARMING = tuple(one for one in GRID if not one.farm)


class Decoy(NamedTuple):
    """A fake account's report of an image that nobody aims at."""

    at: int
    image: str
    person: Person


class Crowd:
    """One attack under a strategy: its waves, one after the other."""

    def __init__(self, world: World, attack: Attack, strategy: Strategy) -> None:
        self.attack = attack
        self.strategy = strategy
        self.planned = False
        """Whether its next wave is planned."""
        self.spent: set[str] = set()
        """The accounts that reported the target."""
        self._world = world
        self._random = world.draw(f"crowd {attack.image}")
        self._waves_left = world.assumed.waves
        self._accounts = _accounts(world, attack, strategy)

    def wave(self, at: int) -> Sequence[tuple[Person, int]]:
        """Return who reports when in the wave that begins at `at`."""
        self._waves_left -= 1
        people = self._random.sample(self._accounts, len(self._accounts))
        offsets = sorted(self._random.random() for _ in people)
        return [
            (person, at + int((offset - offsets[0]) * self.strategy.spread))
            for person, offset in zip(people, offsets, strict=True)
        ]

    def next_wave(self, since: int) -> int | None:
        """Return when the crowd comes again, `since` the image is shown again or the last wave ended."""
        return since + self.strategy.again if self.strategy.again and self._waves_left else None


def _accounts(world: World, attack: Attack, strategy: Strategy) -> list[Person]:
    accounts = list(attack.accounts)
    if strategy.accounts:
        random, linked = world.draw(f"more {attack.image}"), world.assumed.linked
        accounts = [
            Person(
                f"fake-{attack.image}-{number}",
                f"farm-{attack.image}" if random.random() < linked else None,
                1,
            )
            for number in range(strategy.accounts)
        ]
    if strategy.farm:
        # What earns trust also lifts an account to the next trust level.
        right = world.assumed.farmed_reports
        return [account._replace(trust=account.trust + 1, agreed=right) for account in accounts]
    return accounts


def vandals(world: World, *, accounts: int, images_a_day: int) -> list[Decoy]:
    """Return the reports of one crowd that aims at no image: each day its accounts report many benign ones.

    It floods the queue where reviews are asked for, and blocks all it reports where nothing else stands
    before.
    """
    random, linked = world.draw("vandals"), world.assumed.linked
    crowd = [
        Person(f"vandal-{number}", "vandals" if random.random() < linked else None, 1)
        for number in range(accounts)
    ]
    attacked = {attack.image for attack in world.attacks}
    benign = [one for one in world.images.values() if not one.violating and one.id not in attacked]
    decoys = []
    for day in range(round(world.assumed.upload_days)):
        begins = BASE + day * DAY + random.randrange(DAY)
        shown = [image for image in benign if image.uploaded < begins]
        for image in random.sample(shown, min(images_a_day, len(shown))):
            decoys += [Decoy(begins + random.randrange(HOUR), image.id, person) for person in crowd]
    return decoys
