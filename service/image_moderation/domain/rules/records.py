"""The records of a case: who counts, how many fit, and what is left of them when a round ends."""

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


def with_room(policy: Policy, records: dict[str, Record], reporter_id: str) -> dict[str, Record] | None:
    """Return records that have room for one of `reporter_id`, or None if there is none.

    A newcomer to a full case drops tombstones and spare members of a group. If that is not enough, which only
    a withheld block brings about, the newcomer is held. Beyond the bound a retraction that was dropped no
    longer stops a late copy of its report.
    """
    if reporter_id in records or len(records) < policy.most_records:
        return records
    kept = without_spares(records)
    return kept if len(kept) < policy.most_records else None


def end_round(case: Case, floor: int) -> Case:
    """End the round at a floor that is at or after its last report; newer tombstones stay."""
    return replace(
        case,
        floor=floor,
        first=0,
        last=0,
        score=0,
        asked_at=0,
        shadow_asked_at=0,
        shadow_blocked=False,
        reasons=(),
        records={who: record for who, record in case.records.items() if record.time > floor},
    )
