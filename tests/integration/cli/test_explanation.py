"""The words of `inspect` for every reason why a block waits or doesn't come."""

from dataclasses import replace

import pytest

from image_moderation.cli.explanation import explain
from image_moderation.domain.case import Case, Record, ReviewRequest
from image_moderation.domain.decision import Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Verdict
from image_moderation.events.render import stamp
from tests.support.decided_cases import HOUR, NOW, OPEN

RECORDS = {f"{n:016x}": Record(NOW - HOUR, "spam", None) for n in range(3)}
ASKED = Case(
    last=NOW - HOUR,
    score=3,
    revision=1,
    decided_at=NOW - HOUR,
    trigger=Trigger.REVIEW_THRESHOLD,
    withheld=True,
    review=ReviewRequest(NOW - HOUR, NOW - HOUR),
    records=RECORDS,
)


def words_about(case: Case, policy: Policy) -> str:
    return "\n".join(explain("img-42", case, (), policy, NOW))


@pytest.mark.parametrize(
    ("case", "policy", "says"),
    [
        (
            ASKED,
            Policy(block_threshold=3, review_grace=2 * HOUR),
            (
                "img-42 is not blocked yet, though it has 3 of 3 distinct reporters: the block waits for a "
                f"moderator until {stamp(NOW + HOUR)}."
            ),
        ),
        (ASKED, Policy(block_threshold=3, review_grace=1000), "and is due."),
        (ASKED, Policy(block_threshold=3, review_grace=1000, max_blocks_per_hour=9), "The breaker lets 9 "),
        (ASKED, Policy(block_threshold=5), f"A review was asked for at {stamp(NOW - HOUR)}"),
        (ASKED, Policy(block_threshold=5), "review asked for at"),
        (
            replace(ASKED, review=ReviewRequest(NOW - HOUR, NOW - HOUR, by_breaker=True)),
            Policy(block_threshold=3, max_blocks_per_hour=9),
            "the breaker held this one back",
        ),
        (replace(ASKED, withheld=False), Policy(block_threshold=3), "applies from its next counted report"),
        (
            replace(ASKED, shadow_blocked=True, shadow_review=ReviewRequest(NOW, NOW)),
            Policy(block_threshold=3, shadow=True),
            "shadow mode blocks nothing",
        ),
        (replace(OPEN, shadow_blocked=True), Policy(), "Shadow mode would have blocked it."),
        (OPEN, Policy(review_threshold=3), "A review is asked for at 3 distinct reporters."),
        (OPEN, Policy(urgent_reasons=frozenset({"csam"})), "at the first report that says csam."),
        (
            replace(OPEN, verdict=Verdict.UPHELD, verdict_time=NOW),
            Policy(),
            "blocks the image if it is repeated in live mode",
        ),
        (OPEN, Policy(shadow=True), "outside shadow mode"),
    ],
    ids=lambda value: value[:20].rstrip("0123456789") if isinstance(value, str) else None,
)
def test_an_explanation_says_why_it_waits(case: Case, policy: Policy, says: str) -> None:
    assert says in words_about(case, policy)
