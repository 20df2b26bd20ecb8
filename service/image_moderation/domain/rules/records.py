"""The records of a case: who counts, what slides out of the window, and how many fit."""

from dataclasses import replace

from image_moderation.domain.case import Case, Record
from image_moderation.domain.policy import Policy


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


def slide(case: Case, floor: int) -> Case:
    """Raise the floor: drop what is at or before it, and forget the reviews that rested on that alone."""
    if floor <= case.floor:
        return case
    records = {who: record for who, record in case.records.items() if record.time > floor}
    review, shadow_review = case.review, case.shadow_review
    score = case.score if len(records) == len(case.records) else distinct_groups(records)
    return replace(
        case,
        floor=floor,
        score=score,
        review=review if review and review.rests_on > floor else None,
        shadow_review=shadow_review if shadow_review and shadow_review.rests_on > floor else None,
        reasons=case.reasons if score else (),
        records=records,
    )


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

    A newcomer to a full case drops tombstones and spare members of groups. One record a group is left, so
    the score says beforehand whether there is room then. If not, the newcomer is held; only a withheld block
    brings that about. A retraction that was dropped no longer stops a late copy of its report.
    """
    if reporter_id in case.records or len(case.records) < policy.most_records:
        return case.records
    return None if case.score >= policy.most_records else without_spares(case.records)


def with_record(records: dict[str, Record], reporter_id: str, record: Record) -> dict[str, Record]:
    """Return the records with one more, or with one replaced, in the order of their times."""
    others = {who: other for who, other in records.items() if who != reporter_id}
    return dict(sorted((others | {reporter_id: record}).items(), key=lambda item: item[1].time))
