"""Random histories of batches, over several images and changing rules, to hold the Lua to the policy."""

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Facts
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Review, Tick, Verdict
from tests.support.histories import BASE, report, retraction, traces

# The first two share a partition, so that one script call serves both.
IMAGES = ("img-0", "img-20", "img-1")
# Three of 64 and the one of 43 fill the table of reasons to the last byte.
LONG = [letter * 64 for letter in "xyz"] + ["v" * 43, "v" * 44]
REASONS = ["unspecified", "other", "a", "aa", "spam", "spam.a", "nudity", *LONG]


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that go through in one call."""

    policy: Policy
    now: int
    events: list[Event]
    retried: bool


OFF = Policy(immunity=0)
"""The rule with every option at its most harmless."""


@st.composite
def rules(draw: st.DrawFn, thresholds: list[int], windows: list[int]) -> Policy:
    """A rule, every other time with options."""
    rule = replace(
        OFF, block_threshold=draw(st.sampled_from(thresholds)), report_window=draw(st.sampled_from(windows))
    )
    if draw(st.booleans()):
        return rule
    return replace(
        rule,
        immunity=draw(st.sampled_from([0, 1, 5, 20])),
        review_threshold=draw(st.integers(0, rule.block_threshold - 1)),
        review_grace=draw(st.sampled_from([0, 0, 10, 40])),
        urgent_reasons=draw(st.sampled_from([frozenset(), frozenset({"a", "nudity"})])),
        max_blocks_per_hour=draw(st.sampled_from([0, 0, 1, 3])),
        shadow=draw(st.sampled_from([False, False, True])),
    )


@st.composite
def single_events(draw: st.DrawFn, windows: list[int]) -> list[Event]:
    """One event, at a time that is often on the border of a window."""
    image = IMAGES[draw(st.sampled_from([0, 0, 0, 0, 1, 2]))]
    if draw(st.integers(0, 9)) == 0:
        return [Tick(image)]
    if draw(st.integers(0, 7)) == 0:
        time = BASE + draw(st.integers(-2, 40))
        return [Review(image, time, time + 3, draw(st.sampled_from(Verdict)), draw(traces))]
    who = f"user-{draw(st.integers(0, 9))}"
    window = draw(st.sampled_from(windows))
    time = draw(st.integers(0, 3)) * window + draw(st.integers(-2, 2)) + draw(st.sampled_from([0, 0, 0, 5]))
    if draw(st.integers(0, 3)) == 0:
        return [retraction(who, time, image=image)]
    group = draw(st.sampled_from([None, None, "g1", "g2", "user-1"]))
    reason, trace = draw(st.sampled_from(REASONS)), draw(traces)
    return [report(who, time, image=image, reason=reason, group=group, delay=3, trace=trace)]


@st.composite
def crowds(draw: st.DrawFn) -> list[Event]:
    """So many at once that the case fills up to its bound."""
    image, time = IMAGES[0], draw(st.integers(0, 20))
    bound = 8 * draw(st.integers(1, 6)) + 64
    size, start = bound + draw(st.integers(-2, 1)), draw(st.sampled_from([0, 1000]))
    group = draw(st.sampled_from([None, "g1", "g3"]))
    names = [f"crowd-{n}" for n in range(start, start + size)]
    if group is None:
        return [retraction(name, time, image=image) for name in names]
    return [report(name, time, image=image, group=group, reason=LONG[n % 5]) for n, name in enumerate(names)]


@st.composite
def histories(draw: st.DrawFn) -> list[Batch]:
    windows = draw(st.lists(st.integers(1, 12), min_size=1, max_size=2))
    thresholds = draw(st.lists(st.sampled_from([1, 2, 3, 4, 5, 6, 6, 9]), min_size=1, max_size=2))
    event = single_events(windows)
    chunks = st.integers(0, 60).flatmap(lambda dice: crowds() if dice == 60 else event)
    batches, earlier = [], list[Event]()
    for _ in range(draw(st.integers(1, 6))):
        events = [one for chunk in draw(st.lists(chunks, min_size=1, max_size=12)) for one in chunk]
        if earlier:
            events += draw(st.lists(st.sampled_from(earlier), max_size=4))
        earlier += events
        rule = draw(rules(thresholds, windows))
        batches.append(Batch(rule, BASE + draw(st.integers(0, 100)), events, draw(st.booleans())))
    return batches


unblocked_cases = st.dictionaries(
    st.sampled_from(IMAGES),
    st.builds(
        Case,
        floor=st.integers(BASE - 5, BASE + 15),
        revision=st.integers(1, 70_000),
        decided_at=st.integers(BASE - 50, BASE + 150),
        facts=st.none()
        | st.builds(
            Facts,
            distinct_reporters=st.just(9_000),
            threshold=st.just(1_000),
            reasons=st.dictionaries(st.sampled_from(REASONS), st.integers(1, 9_000)),
            first_reported_at=st.just(1),
            last_reported_at=st.just(BASE),
            policy=st.sampled_from(["00000000", "ffffffff"]),
        ),
    ),
    max_size=2,
)
"""Cases that verdicts have left behind, some of them without the facts, as earlier versions stored them."""
