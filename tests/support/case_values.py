"""Packed cases as stored in Redis, written directly: for tests that need many cases or special ones."""

import struct
from zlib import crc32

from image_moderation.domain.case import Case
from image_moderation.domain.decision import State
from image_moderation.store.layout import BLOCKED, EXTENDED, TRIGGERS, VERDICTS


def case_key(image: str) -> bytes:
    """Return an image's key, computed independently of `store/keys.py`."""
    name = image.encode()
    return b"moderation:{p%02d}:case:%s" % (crc32(name) % 64, name)


def case_value(case: Case) -> bytes:
    """Return the packed case, without records and reasons."""
    flags = EXTENDED | (BLOCKED if case.state is State.BLOCKED else 0)
    verdict = 0 if case.verdict is None else VERDICTS.index(case.verdict) + 1
    marks = verdict | (4 if case.shadow_blocked else 0)
    trigger = 0 if case.trigger is None else TRIGGERS.index(case.trigger) + 1
    head = struct.pack("<B6s6s6sH", flags, *map(_int, (case.floor, case.first, case.last)), case.score)
    times = map(_int, (case.decided_at, case.verdict_time, case.asked_at, case.shadow_asked_at))
    return head + struct.pack("<I6s6s6s6sBB", case.revision, *times, marks, trigger) + b"\0"


def _int(value: int) -> bytes:
    return value.to_bytes(6, "little")
