"""A case in words. Pure: the facts come from the store."""

from collections import Counter
from collections.abc import Sequence

from service.domain.case import Case
from service.domain.decision import Decision, State
from service.domain.policy import Policy
from service.events.render import decision_id, stamp

time_of = stamp


def explain(image: str, case: Case, waiting: Sequence[Decision], policy: Policy, now: int) -> list[str]:
    """Return why the image is or isn't blocked, a sentence or two a line. `now` is in milliseconds."""
    if case == Case():
        lines = [f"{image} is not blocked: no report of it is known, or all has been forgotten."]
    elif case.state is State.BLOCKED:
        lines = [
            f"{image} is blocked since {stamp(case.decided_at)}: enough people had reported it.",
            "Further reports change nothing; who had reported is no longer kept.",
        ]
    else:
        lines = _open(image, case, policy, now)
    return lines + _last_decision(case, waiting)


def _open(image: str, case: Case, policy: Policy, now: int) -> list[str]:
    threshold, lacking = policy.block_threshold, policy.block_threshold - case.score
    so_far = f"{case.score} of {threshold} distinct reporters"
    lapses = case.first + policy.report_window
    if case.first == 0:
        lines = [f"{image} is not blocked: it has no standing report."]
    elif lacking <= 0:
        lines = [
            f"{image} is not blocked yet, though it has {so_far}: the threshold applies from its next change."
        ]
    elif now > lapses:
        lines = [
            f"{image} is not blocked: {so_far} within one window, which ended {stamp(lapses)}.",
            "A report made after that begins a new round, in which these no longer count.",
        ]
    else:
        lines = [
            f"{image} is not blocked: {so_far}, {lacking} more until {stamp(lapses)} would block it.",
        ]
    if case.first:
        lines.append(f"Its reports range from {stamp(case.first)} to {stamp(case.last)}.")
    return lines + _remarks(case)


def _remarks(case: Case) -> list[str]:
    lines: list[str] = []
    standing = [record for record in case.records.values() if record.stands]
    if len(standing) > case.score:
        lines.append(f"{len(standing)} people reported it; those of one group count once.")
    if reasons := Counter(record.reason or "" for record in standing):
        lines.append(f"Reasons: {', '.join(f'{name} {count}' for name, count in reasons.most_common())}.")
    if retracted := len(case.records) - len(standing):
        lines.append(f"Taken back by their reporters: {retracted}.")
    if case.floor:
        lines.append(f"Reports up to {stamp(case.floor)} do not count.")
    return lines


def _last_decision(case: Case, waiting: Sequence[Decision]) -> list[str]:
    lines: list[str] = []
    if case.revision:
        last = next((one for one in waiting if one.revision == case.revision), None)
        where = "has been published" if last is None else "waits in the outbox to be published"
        lines.append(
            f"Last decision: revision {case.revision}, {case.state} at {stamp(case.decided_at)}; it {where}."
        )
    for one in waiting:
        reasons = ", ".join(f"{name} {count}" for name, count in sorted(one.reasons.items()))
        lines.append(
            f"In the outbox: {one.action}, revision {one.revision}, event {decision_id(one)}, "
            f"{one.distinct_reporters} of {one.threshold} distinct reporters ({reasons})."
        )
    return lines
