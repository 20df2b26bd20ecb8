"""One site: its images, the people who report them, and whom the attackers aim at. A seed makes the same
again.

Every part draws from a random stream of its own, so that two policies, strategies or signals meet the same
people.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import NamedTuple

from tests.benchmarks.abuse.assumptions import Assumptions

BASE = 4_000_000_000_000
"""Milliseconds; far in the future, so that nothing that the real store keeps expires during a run."""
HOUR = 3_600_000
DAY = 24 * HOUR
URGENT = "csam"


class Image(NamedTuple):
    """An image; `views` are relative to the least seen one's."""

    id: str
    violating: bool
    urgent: bool
    uploaded: int
    views: float


class Person(NamedTuple):
    """An account, honest or fake, as the site knows it."""

    id: str
    group: str | None
    """The device or network that the site knows; None if it knows nothing."""
    trust: int
    """Discourse's trust level."""
    agreed: int = 0
    """Its reports before the record begins that a moderator agreed with; all others are counted as they
    come.
    """


class Seen(NamedTuple):
    """An honest person sees an image and would report it, unless it is blocked then."""

    at: int
    image: str
    person: Person
    reason: str


class Attack(NamedTuple):
    """One crowd of fake accounts and its target."""

    image: str
    brigade: bool
    start: int
    accounts: Sequence[Person]


@dataclass(frozen=True, slots=True)
class World:
    """Everything that happens whatever the policy does."""

    seed: int
    assumed: Assumptions
    images: dict[str, Image]
    seen: Sequence[Seen]
    """In the order of time."""
    attacks: Sequence[Attack]

    @property
    def end(self) -> int:
        return BASE + round(self.assumed.days * DAY)

    @property
    def violating(self) -> list[Image]:
        return [image for image in self.images.values() if image.violating]

    def draw(self, name: str) -> Random:
        """Return the random stream of this name."""
        return Random(f"{self.seed} {name}")


def build(seed: int, assumed: Assumptions) -> World:
    """Return the world of a seed."""
    images = _images(Random(f"{seed} images"), assumed)
    seen = _seen(Random(f"{seed} honest"), assumed, images)
    attacks = _attacks(seed, assumed, images)
    return World(seed, assumed, {image.id: image for image in images}, seen, attacks)


def _images(random: Random, assumed: Assumptions) -> list[Image]:
    images = []
    for number in range(assumed.images):
        violating = random.random() < assumed.violating
        cut = 1 - assumed.views_spread**-assumed.views_shape
        views = (1 - random.random() * cut) ** (-1 / assumed.views_shape)
        uploaded = BASE + int(random.random() * assumed.upload_days * DAY)
        urgent = random.random() < assumed.urgent and violating
        images.append(Image(f"img-{number}", violating, urgent, uploaded, views))
    return images


def people(random: Random, assumed: Assumptions) -> list[Person]:
    """Return the honest reporters. Whoever is behind a shared network has that as a group."""
    sizes = list(accumulate(1 / rank for rank in range(1, assumed.networks + 1)))
    levels = list(accumulate(assumed.trust))
    found = []
    for number in range(assumed.people):
        shared = random.random() < assumed.shared
        network = random.choices(range(assumed.networks), cum_weights=sizes)[0]
        level = 1 + random.choices(range(len(levels)), cum_weights=levels)[0]
        found.append(Person(f"user-{number}", f"net-{network}" if shared else None, level))
    return found


def _seen(random: Random, assumed: Assumptions, images: Sequence[Image]) -> list[Seen]:
    everybody = people(random, assumed)
    active = [random.lognormvariate(0, assumed.activity) for _ in everybody]
    careless = [random.lognormvariate(0, assumed.carelessness) for _ in everybody]
    # Who is more careless than others sends more of the wrong reports and fewer of the right ones.
    right = list(accumulate(act / (1 + care) for act, care in zip(active, careless, strict=True)))
    wrong = list(accumulate(act * care for act, care in zip(active, careless, strict=True)))
    seen = []
    for image in images:
        rate = image.views * (assumed.per_violating if image.violating else assumed.per_benign)
        weights = right if image.violating else wrong
        for who in _distinct(random, poisson(random, rate), weights):
            at = image.uploaded + int(random.expovariate(1 / (assumed.view_age * HOUR)))
            named = assumed.urgent_named if image.urgent else assumed.urgent_wrong
            reason = URGENT if random.random() < named else "spam"
            seen.append(Seen(at, image.id, everybody[who], reason))
    end = BASE + assumed.days * DAY
    return sorted((one for one in seen if one.at < end), key=lambda one: (one.at, one.image, one.person.id))


def poisson(random: Random, mean: float) -> int:
    """Return a Poisson number: how many exponential steps fit into `mean`."""
    count, passed = 0, -math.log(1 - random.random())
    while passed < mean:
        count += 1
        passed -= math.log(1 - random.random())
    return count


def _distinct(random: Random, count: int, weights: Sequence[float]) -> list[int]:
    """Return `count` different indices, in the order in which they were drawn."""
    chosen: dict[int, None] = {}
    numbers = range(len(weights))
    while len(chosen) < min(count, len(weights)):
        chosen[random.choices(numbers, cum_weights=weights)[0]] = None
    return list(chosen)


def _attacks(seed: int, assumed: Assumptions, images: Sequence[Image]) -> list[Attack]:
    random, links = Random(f"{seed} attacks"), Random(f"{seed} links")
    benign = [image for image in images if not image.violating]
    attacks = []
    for number, image in enumerate(random.sample(benign, min(assumed.attacks, len(benign)))):
        brigade = random.random() < assumed.brigades
        count = random.randint(*(assumed.many if brigade else assumed.few))
        start = image.uploaded + int(random.expovariate(1 / (assumed.view_age * HOUR)))
        accounts = [
            Person(
                f"fake-{number}-{account}", f"farm-{number}" if links.random() < assumed.linked else None, 1
            )
            for account in range(count)
        ]
        attacks.append(Attack(image.id, brigade, start, accounts))
    return attacks
