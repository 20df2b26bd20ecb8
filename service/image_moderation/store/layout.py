"""The packed case: how one image's case lies in its key. `scripts/apply/` writes it, this reads it.

All integers are little-endian and unsigned; times are milliseconds.

    head       flags 1, floor 6, last 6, score 2
    decided    revision 4, decided_at 6, verdict_time 6, verdict 1, trigger 1      only with flag DECIDED
    facts      length of the facts 2, policy 4, threshold 2, score 2,              only with flag FACTS
               if score > 0: first 6, last 6, for each reason: count 2, text, NUL
    waiting    review: at 6, rests_on 6; shadow_review: the same; marks 1          only with flag WAITING
    reasons    length 1, then NUL text NUL text NUL …; a reason's code is the position of the NUL before it
    records    digest 8, time 6, reason code 1, and with flag GROUPED: group digest 8 (zeros: none)

Records are in the order of their times. Reason codes besides positions: 0 `unspecified`, 255 `other`, 254 a
retraction. Verdicts and triggers are numbered from 1 as VERDICTS and TRIGGERS list them; 0 is none. A review
whose `at` is 0 is none. The facts are those of the latest decision: the policy's hash as a number, the least
and the greatest time of the reports that counted, and `unspecified` as the empty text.
"""

from image_moderation.domain.case import REASON_TABLE_BYTES, Case, Record, ReviewRequest
from image_moderation.domain.decision import Facts, State, Trigger
from image_moderation.domain.report import OTHER, UNSPECIFIED, Verdict
from image_moderation.domain.rules.evaluation import BREAKER_RETRY
from image_moderation.store.formats import Constant, Format, to_int

HEAD = Format("BI6I6I2")
PLAIN_HEAD = Format("BI6I6I2B")
"""The head and the length of the reasons, which follows at once where no flag is set."""
DECIDED_PART = Format("I4I6I6BB")
FACTS_LENGTH = Format("I2")
FACTS_PART = Format("I2I4I2I2")
FACTS_TIMES = Format("I6I6")
REASON_COUNT = Format("I2")
"""The text that follows ends with a NUL: Lua's `s`."""
WAITING_PART = Format("I6I6I6I6B")
RECORD = Format("c8I6B")
STANDING = Format("I6B")
"""The part of a record after the digest: its time and its reason code."""
DIGEST_BYTES = 8
NO_GROUP = bytes(DIGEST_BYTES)

DECIDED, BLOCKED, GROUPED, WAITING, FACTS = 1, 2, 4, 8, 16
"""The flags."""
WITHHELD, SHADOW_BLOCKED, BY_BREAKER, SHADOW_BY_BREAKER = 1, 2, 4, 8
"""The marks. `…BY_BREAKER` is of the review, and of shadow mode's."""
UNSPECIFIED_CODE, TOMBSTONE, OTHER_CODE = 0, 254, 255
VERDICTS = (Verdict.UPHELD, Verdict.CLEARED)
"""In the order of their codes, which never changes."""
TRIGGERS = (
    Trigger.THRESHOLD,
    Trigger.MODERATOR,
    Trigger.REVIEW_THRESHOLD,
    Trigger.URGENT_REASON,
    Trigger.BREAKER,
)
"""In the order of their codes, which never changes."""

CONSTANTS: dict[str, Constant] = {
    "HEAD": HEAD.lua,
    "HEAD_BYTES": HEAD.size,
    "PLAIN_HEAD": PLAIN_HEAD.lua,
    "PLAIN_HEAD_BYTES": PLAIN_HEAD.size,
    "DECIDED_PART": DECIDED_PART.lua,
    "DECIDED_PART_BYTES": DECIDED_PART.size,
    "FACTS_LENGTH": FACTS_LENGTH.lua,
    "FACTS_PART": FACTS_PART.lua,
    "FACTS_PART_BYTES": FACTS_PART.size,
    "FACTS_TIMES": FACTS_TIMES.lua,
    "REASON_COUNT": REASON_COUNT.lua + "s",
    "WAITING_PART": WAITING_PART.lua,
    "WAITING_PART_BYTES": WAITING_PART.size,
    "RECORD": RECORD.lua,
    "RECORD_BYTES": RECORD.size,
    "GROUPED_RECORD_BYTES": RECORD.size + DIGEST_BYTES,
    "STANDING": STANDING.lua,
    "STANDING_AT": DIGEST_BYTES,
    "REASON_AT": RECORD.size - 1,
    "GROUP_AT": RECORD.size,
    "NO_GROUP": NO_GROUP,
    "DECIDED": DECIDED,
    "BLOCKED": BLOCKED,
    "GROUPED": GROUPED,
    "WAITING": WAITING,
    "FACTS": FACTS,
    "WITHHELD": WITHHELD,
    "SHADOW_BLOCKED": SHADOW_BLOCKED,
    "BY_BREAKER": BY_BREAKER,
    "SHADOW_BY_BREAKER": SHADOW_BY_BREAKER,
    "UNSPECIFIED": UNSPECIFIED,
    "UNSPECIFIED_CODE": UNSPECIFIED_CODE,
    "OTHER": OTHER,
    "OTHER_CODE": OTHER_CODE,
    "TOMBSTONE": TOMBSTONE,
    "REASON_TABLE_BYTES": REASON_TABLE_BYTES,
    "BREAKER_RETRY": BREAKER_RETRY,
    "VERDICT_UPHELD": VERDICTS.index(Verdict.UPHELD) + 1,
    "VERDICT_CLEARED": VERDICTS.index(Verdict.CLEARED) + 1,
    "TRIGGERS": {str(trigger): code for code, trigger in enumerate(TRIGGERS, 1)},
}
"""The layout as the script knows it, by the names that stand for it there. `…_AT`: an offset in a record."""


def decode(value: bytes | None) -> Case:
    """Return the case in `value`, reporters and groups as hexadecimal digests; None is a new case.

    Raises:
        struct.error, ValueError, IndexError: the value is no case.
    """
    if value is None:
        return Case()
    flags, floor, last, score = HEAD.python.unpack_from(value)
    at = HEAD.size
    revision, decided_at, verdict_time, verdict, trigger = 0, b"", b"", 0, 0
    review_at = rests_on = shadow_at = shadow_rests_on = b""
    marks = 0
    if flags & DECIDED:
        revision, decided_at, verdict_time, verdict, trigger = DECIDED_PART.python.unpack_from(value, at)
        at += DECIDED_PART.size
    facts = b""
    if flags & FACTS:
        (length,) = FACTS_LENGTH.python.unpack_from(value, at)
        facts = value[at : at + length]
        at += length
    if flags & WAITING:
        review_at, rests_on, shadow_at, shadow_rests_on, marks = WAITING_PART.python.unpack_from(value, at)
        at += WAITING_PART.size
    table = value[at + 1 : at + 1 + value[at]]
    at += 1 + len(table)
    return Case(
        state=State.BLOCKED if flags & BLOCKED else State.OPEN,
        floor=to_int(floor),
        last=to_int(last),
        score=score,
        revision=revision,
        decided_at=to_int(decided_at),
        trigger=TRIGGERS[trigger - 1] if trigger else None,
        facts=_facts(facts) if facts else None,
        verdict=VERDICTS[verdict - 1] if verdict else None,
        verdict_time=to_int(verdict_time),
        withheld=bool(marks & WITHHELD),
        review=_review(review_at, rests_on, by_breaker=bool(marks & BY_BREAKER)),
        shadow_review=_review(shadow_at, shadow_rests_on, by_breaker=bool(marks & SHADOW_BY_BREAKER)),
        shadow_blocked=bool(marks & SHADOW_BLOCKED),
        reasons=tuple(text.decode() for text in table.split(b"\0") if text),
        records=_records(value[at:], table, grouped=bool(flags & GROUPED)),
    )


def _facts(raw: bytes) -> Facts:
    _, policy, threshold, score = FACTS_PART.python.unpack_from(raw)
    first = last = None
    reasons: dict[str, int] = {}
    if score:
        first, last = map(to_int, FACTS_TIMES.python.unpack_from(raw, FACTS_PART.size))
        at = FACTS_PART.size + FACTS_TIMES.size
        while at < len(raw):
            (count,) = REASON_COUNT.python.unpack_from(raw, at)
            end = raw.index(b"\0", at + REASON_COUNT.size)
            reasons[raw[at + REASON_COUNT.size : end].decode() or UNSPECIFIED] = count
            at = end + 1
    return Facts(
        distinct_reporters=score,
        threshold=threshold,
        reasons=reasons,
        first_reported_at=first,
        last_reported_at=last,
        policy=f"{policy:08x}",
    )


def _review(at: bytes, rests_on: bytes, *, by_breaker: bool) -> ReviewRequest | None:
    return ReviewRequest(to_int(at), to_int(rests_on), by_breaker) if to_int(at) else None


def _records(raw: bytes, table: bytes, *, grouped: bool) -> dict[str, Record]:
    records: dict[str, Record] = {}
    for at in range(0, len(raw), RECORD.size + (DIGEST_BYTES if grouped else 0)):
        digest, time, code = RECORD.python.unpack_from(raw, at)
        group = raw[at + RECORD.size : at + RECORD.size + DIGEST_BYTES] if grouped else NO_GROUP
        records[digest.hex()] = Record(
            to_int(time), _reason(code, table), None if group == NO_GROUP else group.hex()
        )
    return records


def _reason(code: int, table: bytes) -> str | None:
    if code == TOMBSTONE:
        return None
    if code == UNSPECIFIED_CODE:
        return UNSPECIFIED
    if code == OTHER_CODE:
        return OTHER
    return table[code : table.index(b"\0", code)].decode()
