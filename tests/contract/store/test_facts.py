"""The facts of an image's latest decision: kept whatever comes after it, until the next decision."""

import json
from dataclasses import replace

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Action, Decision, Facts
from image_moderation.domain.report import Event, Verdict
from image_moderation.events.render import decision_message
from image_moderation.events.state import state_message
from tests.support.histories import BASE, IMAGE, report, retraction
from tests.support.store_backends import POLICY, Backend, Store, review

NOBODY = Facts(
    distinct_reporters=0,
    threshold=2,
    reasons={},
    first_reported_at=None,
    last_reported_at=None,
    policy=POLICY.hash,
)
BLOCKING = [
    report("user-1", 3, reason="spam", group="g"),
    report("user-9", 9, reason="other", group="g"),
    retraction("user-5", 20),
    report("user-2", 2, trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
]
BLOCK = Facts(
    distinct_reporters=2,
    threshold=2,
    reasons={"unspecified": 1, "spam": 1, "other": 1},
    first_reported_at=BASE + 2,
    last_reported_at=BASE + 9,
    policy=POLICY.hash,
)


async def after(store: Store, *events: Event) -> tuple[Case, list[Decision]]:
    """The image's case after these events, and the decisions that they brought about."""
    applied = await store.apply(list(events))
    return (await store.case(IMAGE))[0], [entry.decision for entry in applied.entries]


async def test_an_image_without_a_decision_has_none(store: Store) -> None:
    case, _ = await after(store, report("user-1", 1), retraction("user-2", 2))
    assert (case.facts, case.last_action, case.last_decision(IMAGE)) == (None, None, None)


async def test_a_block_keeps_its_facts_until_the_next_decision(store: Store) -> None:
    case, [block] = await after(store, *BLOCKING)
    assert case.facts == BLOCK
    case, _ = await after(
        store,
        *BLOCKING,
        report("user-7", 30, reason="nudity"),
        retraction("user-1", 40),
        review(IMAGE, 50, Verdict.UPHELD),
    )
    assert case.facts == BLOCK
    assert case.last_decision(IMAGE) == replace(block, traceparent=None)
    case, [unblock] = await after(store, review(IMAGE, 60, Verdict.CLEARED))
    assert (case.facts, case.last_action) == (NOBODY, Action.UNBLOCK)
    later = 60 + POLICY.immunity
    case, _ = await after(store, report("user-3", later + 1, reason="spam"), retraction("user-4", later + 2))
    assert case.last_decision(IMAGE) == unblock
    case, [again] = await after(store, report("user-4", later + 3, reason="spam"))
    assert case.last_decision(IMAGE) == again
    assert (again.reasons, again.first_reported_at) == ({"spam": 2}, BASE + later + 1)


async def test_a_moderators_block_has_the_reports_of_its_moment(store: Store) -> None:
    case, _ = await after(store, review(IMAGE, 1, Verdict.UPHELD))
    assert (case.facts, case.last_action) == (NOBODY, Action.BLOCK)
    await store.apply([report("user-1", 4, image="b", reason="spam"), review("b", 5, Verdict.UPHELD)])
    case, _ = await store.case("b")
    assert case.facts == replace(
        NOBODY,
        distinct_reporters=1,
        reasons={"spam": 1},
        first_reported_at=BASE + 4,
        last_reported_at=BASE + 4,
    )


async def test_a_request_for_a_review_keeps_its_facts_while_reports_go_on(backend: Backend) -> None:
    backend.policy = replace(POLICY, block_threshold=3, review_threshold=2)
    store = await backend.opened()
    case, [request] = await after(store, report("user-1", 1), report("user-2", 2, reason="spam"))
    assert case.last_decision(IMAGE) == request
    case, _ = await after(
        store, retraction("user-1", 3), report("user-2", 4), review(IMAGE, 1, Verdict.CLEARED)
    )
    assert case.last_decision(IMAGE) == request
    assert (case.last_action, case.facts) == (
        Action.REQUEST_REVIEW,
        Facts(
            distinct_reporters=2,
            threshold=3,
            reasons={"unspecified": 1, "spam": 1},
            first_reported_at=BASE + 1,
            last_reported_at=BASE + 2,
            policy=backend.policy.hash,
        ),
    )


async def test_shadow_mode_keeps_none(backend: Backend) -> None:
    backend.policy = replace(POLICY, shadow=True)
    case, _ = await after(await backend.opened(), *BLOCKING)
    assert (case.shadow_blocked, case.facts) == (True, None)


async def test_a_block_that_is_published_again_says_what_it_said_first(store: Store) -> None:
    case, [block] = await after(store, *BLOCKING)
    first = json.loads(decision_message(block).body)
    again = json.loads(state_message(IMAGE, case, "another", BASE + 1_000).body)
    differing = {name for name in first | again if first.get(name) != again.get(name)}
    assert differing == {"id", "traceparent"}
