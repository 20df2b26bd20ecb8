"""Random histories of reports, for the property tests of the policy and of the stores."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from image_moderation.domain.case import Case, Record
from image_moderation.domain.decision import Decision, State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Outcome, Report
from image_moderation.domain.rules import apply

BASE = 4_000_000_000_000
"""A time in the far future, so that nothing expires while a test runs."""
IMAGE = "img-42"
WINDOW = 10

reporters = st.sampled_from([f"user-{n}" for n in range(9)])
some_group = st.none() | st.sampled_from(["g1", "g2", "g3"])
short_reasons = st.sampled_from(["unspecified", "other", "nudity", "spam", "a", "spam.a"])


def policy(threshold: int, window: int = WINDOW) -> Policy:
    """The plain rule, every option off."""
    return Policy(block_threshold=threshold, report_window=window)


def report(
    reporter: str,
    time: int,
    *,
    image: str = IMAGE,
    reason: str = "unspecified",
    group: str | None = None,
    retracted: bool = False,
    delay: int = 0,
    trace: str | None = None,
) -> Report:
    """Return a report at BASE + `time`."""
    return Report(image, reporter, BASE + time, BASE + time + delay, reason, group, retracted, trace)


def retraction(reporter: str, time: int, *, image: str = IMAGE) -> Report:
    """Return a retraction as the parser makes it: without reason and group."""
    return report(reporter, time, image=image, retracted=True)


traces = st.sampled_from([None, None, *(f"00-{n:032x}-{n:016x}-01" for n in (1, 2, 0xFFFF))])


@st.composite
def events_within(
    draw: st.DrawFn, latest: int, *, retractions: bool, most: int = 14, keep_group: bool = True
) -> list[Report]:
    """Draw events of one image between BASE and BASE + `latest`.

    With `keep_group`, every reporter has one group and every (reporter, time) one reason, so that the
    meaning of a set of events doesn't depend on their order.
    """
    grouped = draw(st.booleans())
    groups: dict[str, str | None] = {}
    reasons: dict[tuple[str, int], str] = {}
    history = []
    for _ in range(draw(st.integers(1, most))):
        who, time = draw(reporters), draw(st.integers(0, latest))
        if retractions and draw(st.integers(0, 2)) == 0:
            history.append(retraction(who, time))
            continue
        group = draw(some_group) if grouped else None
        reason = draw(short_reasons)
        if keep_group:
            group = groups.setdefault(who, group)
            reason = reasons.setdefault((who, time), reason)
        history.append(report(who, time, group=group, reason=reason, trace=draw(traces)))
    return history


@dataclass(frozen=True, slots=True)
class Run:
    """The policy's results for a history."""

    cases: list[Case]
    """The case before the first event, then after each."""
    outcomes: list[Outcome]
    decisions: dict[int, Decision]
    """By the index of the event that caused the decision."""

    @property
    def case(self) -> Case:
        return self.cases[-1]


def run(rule: Policy, history: Sequence[Report], case: Case | None = None, now: int = BASE) -> Run:
    """The policy's steps over one image's history."""
    result = Run([case or Case()], [], {})
    for number, event in enumerate(history):
        step = apply(rule, result.case, event, now)
        result.cases.append(step.case)
        result.outcomes.append(step.outcome)
        if step.decision is not None:
            result.decisions[number] = step.decision
    return result


def assert_closed(result: Run, history: Sequence[Report]) -> None:
    """The run of `history` has ended with one decision, a block. Its case holds nothing but that, and the
    retractions that are newer than its reports.
    """
    ((number, decision),) = result.decisions.items()
    floor = max(event.time for event in history[: number + 1] if not event.retracted)
    kept: dict[str, int] = {}
    for event in history:
        if event.retracted and event.time > floor:
            kept[event.reporter_id] = max(event.time, kept.get(event.reporter_id, 0))
    case = result.case
    assert case == Case(
        state=State.BLOCKED,
        floor=floor,
        last=floor,
        revision=1,
        decided_at=decision.decided_at,
        trigger=Trigger.THRESHOLD,
        facts=decision.facts,
        records={who: Record(time, None, None) for who, time in kept.items()},
    )
