"""All that a seed draws before anything runs: the policy, the replicas, the broker's habits, the faults."""

from dataclasses import dataclass
from random import Random

from image_moderation.domain.clock import DAY, HOUR
from image_moderation.domain.policy import Policy

MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Habits:
    """How the broker delivers again; each of those that are supported has some of these."""

    stamps: bool
    """Messages have the broker's time of arrival."""
    counts: bool
    """Deliveries are counted; else each is the first."""
    claims: bool
    """What a dead reader had waits until another claims it; else the broker itself delivers it again."""
    takes_late_acks: bool
    """An ack counts though the message was given to somebody else meanwhile."""
    forgets_acks: bool
    """The newest acks of a session may be lost with it, as offsets that were not committed."""
    redeliver_after: int
    """Milliseconds after which what a lost session had is delivered again."""
    lanes: int
    """Of the busy channel, in each replica."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, how often. Times in seconds."""

    kills: float
    """Mean time between kills of some replica; 0 for none. So with the others."""
    stops: float
    """Between orderly stops of some replica."""
    outages: float
    """Between outages of a server."""
    outage: float
    """The mean length of one."""
    unroutable: float
    """Between times in which nothing is bound to the channels of decisions."""
    strange: float
    """Between errors that no client library should raise."""
    lost: float
    """The part of calls whose request or reply is lost."""
    latency: float
    """The mean time of a request or a reply on its way."""
    slow: float
    """The part of calls that take some seconds."""
    again: float
    """The part of messages that the broker delivers twice without need."""
    frozen: float
    """The part of bursts after which the whole site is suspended for hours, in the middle of its work."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int
    policy: Policy
    policies: tuple[Policy, ...]
    """Others, one of which may be set before a burst: replicas take it as they start again."""
    replicas: int
    batch_size: int
    images: int
    reporters: int
    groups: int
    one_server: bool
    """Store and broker are one, so that publishing and settling are one step."""
    parts: int
    """Into how many calls the store cuts a batch, as on a Cluster or where a call has done enough."""
    habits: Habits
    faults: Faults
    skew: int
    """By how many milliseconds a replica's clock may be off."""
    most_skew: int | None
    """As the store's own limit; None takes any clock."""
    bursts: int
    """Times of load, with a rest after each."""
    burst: float
    """Seconds of one."""
    rate: float
    """Messages a second."""


def draw(seed: int) -> Plan:
    """Return the plan of a seed."""
    chance = Random(f"plan {seed}")
    some = chance.choice
    calm = chance.random() < 0.1
    return Plan(
        seed=seed,
        policy=_policy(chance),
        policies=some([(), (), (_policy(chance), _policy(chance))]),
        replicas=some([1, 2, 2, 3, 3, 4]),
        batch_size=some([1, 3, 10, 50]),
        images=some([2, 4, 8]),
        reporters=some([4, 8, 15]),
        groups=some([0, 0, 2, 4]),
        one_server=some([False, False, True]),
        parts=some([1, 1, 2, 4]),
        habits=Habits(
            stamps=some([True, True, True, False]),
            counts=some([True, True, True, False]),
            claims=some([True, False]),
            takes_late_acks=some([True, False]),
            forgets_acks=some([True, False, False]),
            redeliver_after=some([2_000, 10_000, 10_000, 30_000]),
            lanes=some([1, 2, 3]),
        ),
        faults=Faults(0, 0, 0, 0, 0, 0, 0, latency=0.002, slow=0, again=0, frozen=0)
        if calm
        else _faults(chance),
        skew=0 if calm else some([0, 0, 100, 10_000, 200_000, HOUR]),
        most_skew=some([None, 300_000]),
        bursts=some([2, 3, 4]),
        burst=some([5.0, 15.0, 30.0]),
        rate=some([1.0, 4.0, 10.0]),
    )


def _policy(chance: Random) -> Policy:
    some = chance.choice
    threshold = some([1, 2, 3, 3, 4])
    review = some([0, 0, chance.randrange(threshold)])
    urgent = some([frozenset[str](), frozenset({"csam"})])
    return Policy(
        block_threshold=threshold,
        report_window=some([30 * DAY, 30 * DAY, DAY, HOUR, MINUTE]),
        immunity=some([30 * DAY, DAY, HOUR, 5_000, 0]),
        review_threshold=review,
        review_grace=some([0, 10_000, 2 * HOUR]) if review or urgent else 0,
        urgent_reasons=urgent,
        max_blocks_per_hour=some([0, 0, 1, 3]),
        shadow=chance.random() < 0.1,
    )


def _faults(chance: Random) -> Faults:
    some = chance.choice
    return Faults(
        kills=some([0, 3, 10, 30]),
        stops=some([0, 0, 10, 30]),
        outages=some([0, 5, 20]),
        outage=some([0.5, 3, 20]),
        unroutable=some([0, 0, 0, 20]),
        strange=some([0, 0, 30]),
        lost=some([0, 0.01, 0.05, 0.2]),
        latency=some([0.001, 0.01, 0.1]),
        slow=some([0, 0, 0.01, 0.05]),
        again=some([0, 0.05, 0.2]),
        frozen=some([0, 0, 0.3]),
    )
