"""How close a world comes to the published figures: reports a reported item, and the share that violates.

The publishing platform looks at every reported item and removes what violates, after a median of 13 hours.
So a violating image's reports end some time after its first one; those of a benign image go on.
"""

from math import log
from statistics import mean

from tests.benchmarks.abuse.world import HOUR, World

REPORTS_AN_ITEM = 1.46
VIOLATING = 0.163
MEDIAN_HOURS = 13.0


def figures(world: World) -> tuple[float, float]:
    """Return the reports an item and the violating share of the reported items, as that platform would
    count.
    """
    random = world.draw("calibration")
    first: dict[str, int] = {}
    removed: dict[str, float] = {}
    reports = 0
    for seen in world.seen:
        if seen.image not in first:
            first[seen.image] = seen.at
            taken = random.expovariate(log(2) / (MEDIAN_HOURS * HOUR))
            removed[seen.image] = seen.at + taken if world.images[seen.image].violating else float("inf")
        reports += seen.at <= removed[seen.image]
    return reports / len(first), mean(world.images[image].violating for image in first)
