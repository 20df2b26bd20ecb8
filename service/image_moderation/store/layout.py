"""The packed case: how one image's case lies in its key. `scripts/apply.lua` writes it, this reads it.

All integers are little-endian and unsigned; times are milliseconds.

    head     flags 1, floor 6, first 6, last 6, score 2
    extra    revision 4, decided_at 6, verdict_time 6, asked_at 6, shadow_asked_at 6, marks 1, trigger 1
                                                 only with flag EXTRA
    reasons  length 1, then NUL text NUL text NUL …; a reason's code is the position of the NUL before it
    records  digest 8, time 6, reason code 1, and with flag GROUPED: group digest 8 (zeros: none)

Reason codes besides positions: 0 `unspecified`, 255 `other`, 254 a retraction. Marks: 1 or 2 the verdict,
upheld or cleared; 4 shadow mode would have blocked. Triggers are numbered from 1 as `TRIGGERS` lists them; 0
is none.
"""

import struct

from image_moderation.domain.case import Case, Record
from image_moderation.domain.decision import State, Trigger
from image_moderation.domain.report import OTHER, UNSPECIFIED

EXTRA, BLOCKED, GROUPED = 1, 2, 4
TRIGGERS = (
    Trigger.THRESHOLD,
    Trigger.MODERATOR,
    Trigger.REVIEW_THRESHOLD,
    Trigger.URGENT_REASON,
    Trigger.BREAKER,
)
"""In the order of their codes, which is for ever."""
DIGEST_BYTES = 8
NO_GROUP = bytes(DIGEST_BYTES)
_HEAD = struct.Struct("<B6s6s6sH")
_EXTRA = struct.Struct("<I6s6s6s6sBB")
_RECORD = struct.Struct("<8s6sB")
_UNSPECIFIED, _TOMBSTONE, _OTHER = 0, 254, 255


def _int(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def decode(value: bytes | None) -> Case:
    """Return the case in `value`, reporters and groups as hexadecimal digests; None is a new case.

    Raises:
        struct.error: the value is no case.
    """
    if value is None:
        return Case()
    flags, floor, first, last, score = _HEAD.unpack_from(value)
    at = _HEAD.size
    revision, marks, trigger = 0, 0, 0
    decided_at = verdict_time = asked_at = shadow_asked_at = b""
    if flags & EXTRA:
        revision, decided_at, verdict_time, asked_at, shadow_asked_at, marks, trigger = _EXTRA.unpack_from(
            value, at
        )
        at += _EXTRA.size
    table = value[at + 1 : at + 1 + value[at]]
    at += 1 + len(table)
    return Case(
        state=State.BLOCKED if flags & BLOCKED else State.OPEN,
        floor=_int(floor),
        first=_int(first),
        last=_int(last),
        score=score,
        revision=revision,
        decided_at=_int(decided_at),
        trigger=TRIGGERS[trigger - 1] if trigger else None,
        verdict={1: "upheld", 2: "cleared"}.get(marks & 3),
        verdict_time=_int(verdict_time),
        asked_at=_int(asked_at),
        shadow_asked_at=_int(shadow_asked_at),
        shadow_blocked=bool(marks & 4),
        reasons=tuple(text.decode() for text in table.split(b"\0") if text),
        records=_records(value[at:], table, grouped=bool(flags & GROUPED)),
    )


def _records(raw: bytes, table: bytes, *, grouped: bool) -> dict[str, Record]:
    records: dict[str, Record] = {}
    for at in range(0, len(raw), _RECORD.size + (DIGEST_BYTES if grouped else 0)):
        digest, time, code = _RECORD.unpack_from(raw, at)
        group = raw[at + _RECORD.size : at + _RECORD.size + DIGEST_BYTES] if grouped else NO_GROUP
        records[digest.hex()] = Record(
            _int(time), _reason(code, table), None if group == NO_GROUP else group.hex()
        )
    return records


def _reason(code: int, table: bytes) -> str | None:
    if code == _TOMBSTONE:
        return None
    if code == _UNSPECIFIED:
        return UNSPECIFIED
    if code == _OTHER:
        return OTHER
    return table[code : table.index(b"\0", code)].decode()
