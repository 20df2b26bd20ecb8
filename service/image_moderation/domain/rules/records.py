"""The records of a case: who counts, what slides out of the window, and how many fit."""

from dataclasses import replace

from image_moderation.domain.case import Case, Record
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import OTHER, UNSPECIFIED


def distinct_groups(records: dict[str, Record]) -> int:
    """Distinct groups among the standing reporters; a reporter without a group is a group of one."""
    return len(
        {
            (record.group or reporter, record.group is None)
            for reporter, record in records.items()
            if record.stands
        }
    )


def window_start(policy: Policy, case: Case, last: int) -> int:
    """Return the floor of a case whose latest report is at `last`."""
    return max(case.floor, last - policy.report_window - 1)


def drop_old(case: Case) -> Case:
    """Drop the records up to the floor, and the reasons that no other record names; take the score anew."""
    records = {who: record for who, record in case.records.items() if record.time > case.floor}
    reasons = dict.fromkeys(record.reason for record in records.values())
    return replace(
        case,
        oldest=min((record.time for record in records.values()), default=0),
        score=distinct_groups(records),
        reasons=tuple(reason for reason in reasons if reason not in (None, UNSPECIFIED, OTHER)),
        records=records,
    )


def slide(case: Case, floor: int) -> Case:
    """Raise the floor: drop what is at or before it, and forget the reviews that rested on that alone."""
    if floor <= case.floor:
        return case
    review, shadow_review = case.review, case.shadow_review
    case = replace(
        case,
        floor=floor,
        review=review if review and review.rests_on > floor else None,
        shadow_review=shadow_review if shadow_review and shadow_review.rests_on > floor else None,
    )
    return drop_old(case) if case.records and floor >= case.oldest else case


def without_spares(records: dict[str, Record]) -> dict[str, Record]:
    """Drop tombstones, and of each group all standing members but the first."""
    kept: dict[str, Record] = {}
    groups: set[str] = set()
    for reporter, record in records.items():
        if record.stands and record.group not in groups:
            kept[reporter] = record
            if record.group is not None:
                groups.add(record.group)
    return kept


def with_room(policy: Policy, case: Case, reporter_id: str) -> dict[str, Record] | None:
    """Return the records with room for one of `reporter_id`, or None if there is none.

    A newcomer to a full case drops tombstones and spare members of a group. One record a group is left, so the
    score says beforehand whether there is room then. If not, which only a withheld block brings about, the
    newcomer is held. A retraction that was dropped no longer stops a late copy of its report.
    """
    if reporter_id in case.records or len(case.records) < policy.most_records:
        return case.records
    return None if case.score >= policy.most_records else without_spares(case.records)
