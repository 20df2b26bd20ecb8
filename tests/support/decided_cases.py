"""Cases with each kind of decision, and an open one: for tests of the commands about images' state."""

from image_moderation.domain.case import Case, Record
from image_moderation.domain.decision import Facts, State, Trigger
from image_moderation.domain.report import Verdict
from image_moderation.wiring import clock

HOUR, DAY = 3_600_000, 86_400_000
NOW = clock()
FACTS = Facts(
    distinct_reporters=5,
    threshold=5,
    reasons={"spam": 1, "nudity": 4},
    first_reported_at=NOW - DAY,
    last_reported_at=NOW - HOUR - 1,
    policy="3f9a1c77",
)
BY_PEOPLE = Case(
    state=State.BLOCKED,
    floor=1,
    revision=1,
    decided_at=NOW - HOUR,
    trigger=Trigger.THRESHOLD,
    facts=FACTS,
)
# Stored by a version that kept no facts.
BY_MODERATOR = Case(
    state=State.BLOCKED,
    revision=3,
    decided_at=NOW - DAY,
    trigger=Trigger.MODERATOR,
    verdict=Verdict.UPHELD,
    verdict_time=NOW - DAY,
)
CLEARED = Case(
    floor=NOW + DAY,
    revision=2,
    decided_at=NOW - 2 * HOUR,
    trigger=Trigger.MODERATOR,
    verdict=Verdict.CLEARED,
    verdict_time=NOW - 2 * HOUR,
    facts=Facts(
        distinct_reporters=0,
        threshold=5,
        reasons={},
        first_reported_at=None,
        last_reported_at=None,
        policy="3f9a1c77",
    ),
)
OPEN = Case(
    last=NOW - HOUR,
    score=2,
    records={f"{n:016x}": Record(NOW - HOUR, "unspecified", None) for n in range(2)},
)
CASES = {"people": BY_PEOPLE, "moderator": BY_MODERATOR, "cleared": CLEARED, "open": OPEN}
