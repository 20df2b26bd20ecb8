"""`inspect`: explains why an image is or isn't blocked."""

import asyncio
import struct
from collections.abc import Sequence
from typing import Any

from image_moderation.cli.explanation import decision_facts, explain, immune_until, time_of, withheld_until
from image_moderation.cli.output import Failed, encodable, plain, say, say_json, table
from image_moderation.domain.case import Case
from image_moderation.domain.decision import Decision, State
from image_moderation.domain.policy import Policy
from image_moderation.events.render import decision_id
from image_moderation.settings import Settings
from image_moderation.wiring import clock, policy, reading_store

DIGEST_SHOWN = 8
"""Hexadecimal digits, enough to distinguish the reporters of one image."""


def run(image: str, *, as_json: bool) -> None:
    """Print why the image is or isn't blocked, and its reporters."""
    settings = Settings.load()
    case, waiting = asyncio.run(_read(settings, encodable(image, "IMAGE")))
    rule = policy(settings)
    now = clock()
    explanation = explain(image, case, waiting, rule, now)
    if as_json:
        say_json(_facts(image, case, waiting, rule, now) | {"explanation": explanation})
        return
    for line in explanation:
        say(plain(line))
    if rows := [list(reporter.values()) for reporter in _reporters(case)]:
        say("")
        table(("reporter", "reported at", "reason", "group"), [[cell or "" for cell in row] for row in rows])


async def _read(settings: Settings, image: str) -> tuple[Case, Sequence[Decision]]:
    async with reading_store(settings) as store:
        try:
            return await store.case(image)
        except (struct.error, ValueError, IndexError):
            raise Failed(f"{plain(image)}: its key holds no case that this version can read") from None


def _reporters(case: Case) -> list[dict[str, str | None]]:
    standing = sorted((record.time, who, record) for who, record in case.records.items() if record.stands)
    return [
        {
            "reporter": who[:DIGEST_SHOWN],
            "reported_at": time_of(time),
            "reason": record.reason,
            "group": None if record.group is None else record.group[:DIGEST_SHOWN],
        }
        for time, who, record in standing
    ]


def _at(time: int | None) -> str | None:
    """Return a time, or None if it is unknown."""
    return time_of(time) if time else None


def _facts(image: str, case: Case, waiting: Sequence[Decision], rule: Policy, now: int) -> dict[str, Any]:
    decided = case.revision > 0
    return {
        "image_id": image,
        "known": case.known,
        "state": case.state,
        "blocked": case.state is State.BLOCKED,
        "revision": case.revision if decided else None,
        "decided_at": time_of(case.decided_at) if decided else None,
        "decision": case.last_action,
        "trigger": case.trigger,
        "published": all(one.revision != case.revision for one in waiting) if decided else None,
        "last_decision": decision_facts(image, case) if decided else None,
        "waiting_in_outbox": [
            {"id": decision_id(one), "action": one.action, "revision": one.revision} for one in waiting
        ],
        "distinct_reporters": None if case.state is State.BLOCKED else case.score,
        "threshold": rule.block_threshold,
        "review_threshold": rule.review_threshold or None,
        "policy": rule.hash,
        "first_reported_at": _at(case.reported and case.reported[0]),
        "last_reported_at": _at(case.reported and case.reported[1]),
        "verdict": case.verdict,
        "verdict_at": _at(case.verdict_time),
        "immune_until": _at(immune_until(case, now)),
        "review_asked_at": _at(case.review and case.review.at),
        "withheld_until": _at(withheld_until(case, rule)),
        "shadow": {
            "blocked": case.shadow_blocked,
            "review_asked_at": _at(case.shadow_review and case.shadow_review.at),
        },
        "retractions": sum(not record.stands for record in case.records.values()),
        "reporters": _reporters(case),
    }
