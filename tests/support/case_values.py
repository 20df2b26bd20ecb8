"""Packed cases as stored in Redis, written directly: for tests that need many cases or special ones."""

import struct
from zlib import crc32

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Facts, State
from image_moderation.store.layout import (
    BLOCKED,
    DECIDED,
    FACTS,
    SHADOW_BLOCKED,
    TRIGGERS,
    VERDICTS,
    WAITING,
    WITHHELD,
)


def case_key(image: str) -> bytes:
    """Return an image's key, computed independently of `store/keys.py`."""
    name = image.encode()
    return b"moderation:{p%02d}:case:%s" % (crc32(name) % 64, name)


def case_value(case: Case) -> bytes:
    """Return the packed case, without records and reasons."""
    flags = DECIDED | (BLOCKED if case.state is State.BLOCKED else 0)
    verdict = 0 if case.verdict is None else VERDICTS.index(case.verdict) + 1
    trigger = 0 if case.trigger is None else TRIGGERS.index(case.trigger) + 1
    facts = b"" if case.facts is None else _facts(case.facts)
    flags |= FACTS if facts else 0
    marks = WITHHELD * case.withheld | SHADOW_BLOCKED * case.shadow_blocked
    waiting = b""
    if marks or case.review or case.shadow_review:
        flags |= WAITING
        for review in (case.review, case.shadow_review):
            waiting += _int(review.at if review else 0) + _int(review.rests_on if review else 0)
        waiting += bytes([marks | 4 * bool(case.review and case.review.by_breaker)])
    head = struct.pack("<B6s6sH", flags, *map(_int, (case.floor, case.last)), case.score)
    times = map(_int, (case.decided_at, case.verdict_time))
    decided = struct.pack("<I6s6sBB", case.revision, *times, verdict, trigger)
    return head + decided + facts + waiting + b"\0"


def _facts(facts: Facts) -> bytes:
    rest = struct.pack("<IHH", int(facts.policy, 16), facts.threshold, facts.distinct_reporters)
    if facts.distinct_reporters:
        rest += _int(facts.first_reported_at or 0) + _int(facts.last_reported_at or 0)
        for reason, count in facts.reasons.items():
            rest += struct.pack("<H", count) + reason.encode() * (reason != "unspecified") + b"\0"
    return struct.pack("<H", 2 + len(rest)) + rest


def _int(value: int) -> bytes:
    return value.to_bytes(6, "little")
