"""Explains a case in words. Pure functions; the facts come from the store."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Action, Decision, Facts, State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Verdict
from image_moderation.domain.rules.decisions import requested
from image_moderation.domain.rules.records import distinct_groups
from image_moderation.events.render import decision_id, facts_data, stamp

time_of = stamp

_FACTS = (
    "distinct_reporters",
    "threshold",
    "reasons",
    "first_reported_at",
    "last_reported_at",
    "policy",
)


def explain(image: str, case: Case, waiting: Sequence[Decision], policy: Policy, now: int) -> list[str]:
    """Return lines that say why the image is or isn't blocked. `now` is in milliseconds."""
    if not case.known:
        lines = [f"{image} is not blocked: no report of it is known, or its case was removed."]
    elif case.state is State.BLOCKED:
        by_moderator = case.trigger is Trigger.MODERATOR
        why = "a moderator upheld it" if by_moderator else "enough people reported it"
        lines = [
            f"{image} has been blocked since {stamp(case.decided_at)}: {why}.",
            "Further reports change nothing; its reporters are no longer stored.",
            *_verdict(case),
        ]
    else:
        lines = _open(image, case, policy, now)
    return lines + _last_decision(image, case, waiting, policy)


def decision_facts(image: str, case: Case) -> dict[str, Any]:
    """Return the latest decision of a decided case and what it relied on, named as in its event.

    `event_id` is the id under which it was first published. What isn't stored, or wasn't there, is None.
    """
    decision = case.last_decision(image)
    facts = {} if decision is None else facts_data(decision) | {"policy": decision.policy}
    return {
        "event_id": decision and decision_id(decision),
        "action": case.last_action,
        "revision": case.revision,
        "decided_at": stamp(case.decided_at),
        "trigger": case.trigger,
        "automated": case.trigger is not Trigger.MODERATOR,
        **{name: facts.get(name) for name in _FACTS},
    }


def withheld_until(case: Case, policy: Policy) -> int | None:
    """Return until when the block waits for a moderator's verdict; None if it doesn't wait."""
    review = requested(policy, case)
    if not case.withheld or not policy.review_grace or review is None:
        return None
    return review.at + policy.review_grace


def immune_until(case: Case, now: int) -> int | None:
    """Return until when no report counts, because a moderator cleared the image; None if reports count."""
    return case.floor if case.verdict is Verdict.CLEARED and case.floor > now else None


def _open(image: str, case: Case, policy: Policy, now: int) -> list[str]:
    threshold, lacking = policy.block_threshold, policy.block_threshold - case.score
    so_far = f"{case.score} of {threshold} distinct reporters"
    immune = immune_until(case, now)
    if case.reported is None:
        why = "it has no standing report"
        if immune is not None:
            why = f"a moderator cleared it, and until {stamp(immune)} no report counts"
        lines = [f"{image} is not blocked: {why}."]
    elif lacking <= 0:
        lines = _withheld(image, so_far, case, policy, now)
    else:
        lines = _lacking(image, so_far, case.reported[0] + policy.report_window, case, policy, now)
    if case.reported:
        first, last = case.reported
        lines.append(f"Its reports range from {stamp(first)} to {stamp(last)}.")
    return lines + _remarks(case, now) + _verdict(case) + _review(case, policy) + _shadow(case)


def _lacking(image: str, so_far: str, lapses: int, case: Case, policy: Policy, now: int) -> list[str]:
    """Return how many reporters are lacking. From `lapses` on the oldest report no longer counts."""
    if now <= lapses:
        would = "would block it outside shadow mode" if policy.shadow else "would block it"
        lacking = policy.block_threshold - case.score
        return [f"{image} is not blocked: {so_far}, {lacking} more until {stamp(lapses)} {would}."]
    recent = {who: one for who, one in case.records.items() if one.time >= now - policy.report_window}
    return [
        f"{image} is not blocked: {so_far} within one window.",
        f"Together with a report that is made now, {distinct_groups(recent)} of them count.",
    ]


def _withheld(image: str, so_far: str, case: Case, policy: Policy, now: int) -> list[str]:
    """Return why an image with enough reporters is still open."""
    if policy.shadow and case.shadow_blocked:
        return [f"{image} is not blocked, though it has {so_far}: shadow mode blocks nothing."]
    but = f"{image} is not blocked yet, though it has {so_far}:"
    until = withheld_until(case, policy)
    if until is not None and now < until:
        return [f"{but} the block waits for a moderator until {stamp(until)}."]
    review = requested(policy, case)
    if case.withheld and review is not None and review.by_breaker:
        return [
            f"{but} too many images were being blocked, so the breaker held this one back.",
            "It is blocked once the hour's limit allows it, without a further report.",
        ]
    if until is not None:
        lines = [f"{but} the block waited for a moderator until {stamp(until)}, and is due."]
    else:
        lines = [f"{but} the threshold applies from its next counted report."]
    if policy.max_blocks_per_hour:
        most = policy.max_blocks_per_hour
        lines.append(f"The breaker lets {most} automatic blocks an hour pass, and may have held it back.")
    return lines


def _remarks(case: Case, now: int) -> list[str]:
    lines: list[str] = []
    standing = [record for record in case.records.values() if record.stands]
    if len(standing) > case.score:
        lines.append(f"{len(standing)} people reported it; those of one group count once.")
    if reasons := Counter(record.reason or "" for record in standing):
        lines.append(f"Reasons: {_counts(reasons)}.")
    if retracted := len(case.records) - len(standing):
        lines.append(f"Retracted by their reporters: {retracted}.")
    if 0 < case.floor <= now:
        lines.append(f"Reports up to {stamp(case.floor)} do not count.")
    return lines


def _verdict(case: Case) -> list[str]:
    if case.verdict is None:
        return []
    lines = [f"Newest verdict: {case.verdict} by a moderator at {stamp(case.verdict_time)}."]
    if case.verdict is Verdict.UPHELD and case.state is State.OPEN:
        lines.append("It was given in shadow mode, and blocks the image if it is repeated in live mode.")
    return lines


def _review(case: Case, policy: Policy) -> list[str]:
    if case.review:
        rests_on = stamp(case.review.rests_on)
        again = f"after a verdict, or once the reports up to {rests_on} no longer count"
        return [f"A review was asked for at {stamp(case.review.at)}. It is asked for again only {again}."]
    if policy.shadow:
        return []
    lines: list[str] = []
    if policy.review_threshold > case.score:
        lines.append(f"A review is asked for at {policy.review_threshold} distinct reporters.")
    if policy.urgent_reasons:
        reasons = ", ".join(sorted(policy.urgent_reasons))
        lines.append(f"A review is asked for at the first report that says {reasons}.")
    return lines


def _shadow(case: Case) -> list[str]:
    lines: list[str] = []
    if case.shadow_review:
        lines.append(f"Shadow mode would have asked for a review at {stamp(case.shadow_review.at)}.")
    if case.shadow_blocked:
        lines.append("Shadow mode would have blocked it.")
    return lines


def _last_decision(image: str, case: Case, waiting: Sequence[Decision], policy: Policy) -> list[str]:
    lines: list[str] = []
    if case.last_action:
        last = next((one for one in waiting if one.revision == case.revision), None)
        where = "has been published" if last is None else "waits in the outbox to be published"
        did = {Action.BLOCK: "blocked", Action.UNBLOCK: "unblocked"}.get(case.last_action, "review asked for")
        by = f" by {case.trigger}" if case.trigger else ""
        at = stamp(case.decided_at)
        lines.append(f"Last decision: revision {case.revision}, {did} at {at}{by}; it {where}.")
        lines += _relied_on(case.last_decision(image), policy)
    lines += [
        f"In the outbox: {one.action}, revision {one.revision}, event {decision_id(one)}, {_reporters(one)}."
        for one in waiting
    ]
    return lines


def _relied_on(decision: Decision | None, policy: Policy) -> list[str]:
    """Return the facts that the latest decision relied on. `policy` is this environment's."""
    if decision is None:
        return ["Its counts are not stored: an earlier version took it."]
    lines: list[str] = []
    if decision.action is not Action.UNBLOCK:
        lines.append(f"Counted then: {_reporters(decision)}.")
    first, last = decision.first_reported_at, decision.last_reported_at
    if first is not None and last is not None:
        lines.append(f"These reports range from {stamp(first)} to {stamp(last)}.")
    here = "" if decision.policy == policy.hash else f"; this environment's policy is {policy.hash}"
    return [*lines, f"Its event is {decision_id(decision)}, its policy {decision.policy}{here}."]


def _reporters(facts: Facts) -> str:
    reasons = f" ({_counts(facts.reasons)})" if facts.reasons else ""
    return f"{facts.distinct_reporters} of {facts.threshold} distinct reporters{reasons}"


def _counts(reasons: Mapping[str, int]) -> str:
    """Return reasons with their counts, the most frequent first."""
    ordered = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{name} {count}" for name, count in ordered)
