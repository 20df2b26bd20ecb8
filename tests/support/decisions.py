"""A block and a later unblock by a moderator. test_rendered.py has their events as bytes."""

from dataclasses import replace

from image_moderation.domain.decision import Action, Decision, State, Trigger

DECISION = Decision(
    image_id="img-42",
    action=Action.BLOCK,
    revision=1,
    decided_at=1_795_428_007_123,
    state=State.BLOCKED,
    trigger=Trigger.THRESHOLD,
    automated=True,
    distinct_reporters=5,
    threshold=5,
    reasons={"spam": 1, "nudity": 4},
    first_reported_at=1_795_420_800_000,
    last_reported_at=1_795_428_007_001,
    policy="3f9a1c77",
)

UNBLOCKED_DECISION = replace(
    DECISION,
    action=Action.UNBLOCK,
    revision=2,
    decided_at=1_795_428_100_456,
    state=State.OPEN,
    trigger=Trigger.MODERATOR,
    automated=False,
    distinct_reporters=0,
    reasons={},
    first_reported_at=None,
    last_reported_at=None,
)
